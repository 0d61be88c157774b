import { afterAll, beforeAll, beforeEach } from 'bun:test'
import type { AgentId } from '../../src/protocol/ids.ts'
import type { AdminEvent } from '../../src/server/notify/admin-event.ts'
import type { Pool } from '../../src/server/pool/assemble-pool.ts'
import { toAgentDetails, type AgentDetails } from '../../src/server/admin/agent-view.ts'
import { emptyDatabase } from './empty-database.ts'
import { openTestPglite, type TestStore } from './pglite.ts'
import { gpu } from './scheduler-pool.ts'
import { askTiny, connectAgent, openPool, type ScriptedAgent } from './scripted-agent.ts'
import { inventory, model } from './store-fixtures.ts'

/** A machine with one GPU. */
const withGpu = { ...inventory, gpus: [gpu()] }

/**
 * A whole pool for tests of the specification's promises: everything but the machines is real. Each test begins with an
 * empty one that offers the model `tiny`, and moves its time.
 */
export class PromisedPool {
  now = 1_000_000
  told: AdminEvent[] = []
  #database: TestStore | null = null
  #pool: Pool | null = null

  /** @param slots of the model */
  constructor({ slots = 1 }: { readonly slots?: number } = {}) {
    beforeAll(async () => {
      this.#database = await openTestPglite()
    }, 60_000)
    afterAll(() => this.database.store.close())
    beforeEach(async () => {
      await emptyDatabase(this.database.db)
      await this.database.store.addModel(model('tiny', { slots }))
      this.told = []
      this.#pool = await openPool(
        this.database.store,
        () => this.now,
        event => void this.told.push(event),
      )
    })
  }

  get database(): TestStore {
    if (this.#database === null) throw new Error('the database is not open yet')
    return this.#database
  }

  get pool(): Pool {
    if (this.#pool === null) throw new Error('the pool is not open yet')
    return this.#pool
  }

  connect(name: string, seen = withGpu): Promise<ScriptedAgent> {
    return connectAgent(this.pool, this.database.store, name, { seen })
  }

  /** Machines that hold the model, in memory. */
  async holders(...names: string[]): Promise<ScriptedAgent[]> {
    const agents: ScriptedAgent[] = []
    for (const name of names) agents.push(await this.connect(name))
    await this.pool.poolAdmin.loadModel('tiny', null)
    for (const agent of agents) agent.isReady()
    return agents
  }

  ask(name = 'tiny') {
    return askTiny(this.pool, this.now, name)
  }

  /** A request from its first byte to its last. @returns the machine that served it */
  async serve(agents: readonly ScriptedAgent[]): Promise<ScriptedAgent> {
    const before = agents.map(assignments)
    this.ask()
    const busy = agents.find((agent, index) => assignments(agent) > (before[index] ?? 0))
    if (busy === undefined) throw new Error('nobody was given the request')
    busy.start()
    busy.finish(0)
    await this.pool.settlement.drained()
    return busy
  }

  reliabilityOf(agent: ScriptedAgent): number {
    return this.pool.dispatcher.scheduler.agent(agent.id)?.reliability ?? Number.NaN
  }

  /** As `admin agents show` has it. */
  async shown(id: AgentId): Promise<AgentDetails> {
    await this.pool.registry.flush()
    const overview = await this.pool.poolAdmin.getAgent(id)
    if (overview === undefined) throw new Error('unknown agent')
    return toAgentDetails(overview, await this.database.store.listHistory(id, 50))
  }
}

/** Jobs that it has been given. */
export const assignments = (agent: ScriptedAgent): number =>
  agent.types.filter(type => type === 'assign').length
