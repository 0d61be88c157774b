import type { ChatJob } from '../src/protocol/chat-job.ts'
import type { ModelRecord } from '../src/server/store/store.ts'
import { AgentHost } from './agent-host.ts'
import { isAssignment } from './assignments.ts'
import { Disk } from './disk.ts'
import { promptFor } from './pretend-model.ts'
import { drawAgent, drawModels } from './setup.ts'
import { SimClient, type ClientManner } from './sim-client.ts'
import { shortHours } from './small-world.ts'
import { SimServer } from './sim-server.ts'
import { Story } from './story.ts'
import { World } from './world.ts'

export type SimulationOptions = {
  readonly seed: number
  readonly agents: number
  /** Simulated time in which things go wrong. */
  readonly hours: number
  /** Gets each line of the story; null: nobody listens. */
  readonly tell: ((line: string) => void) | null
}

/** How often each thing has happened. */
export type Counts = {
  requests: number
  finished: number
  failed: number
  cancelled: number
  cut: number
  serverDeaths: number
  faults: number
}

/** A whole pool: one server with its disk, the machines of the contributors, and the clients. */
export class Simulation {
  /** In a long world less happens in an hour than in a short one, where an hour is all there is. */
  readonly slowness: number
  readonly world: World
  readonly story: Story
  readonly disk: Disk
  readonly hosts: readonly AgentHost[]
  /** The catalogue, when nothing is missing. */
  readonly records: readonly ModelRecord[]
  readonly models: readonly string[]
  /** Requests that have not ended, by their job. */
  readonly open = new Map<string, SimClient>()
  /** Requests that have ended, until the ledger was looked at. */
  ended: SimClient[] = []
  readonly counts: Counts = {
    requests: 0,
    finished: 0,
    failed: 0,
    cancelled: 0,
    cut: 0,
    serverDeaths: 0,
    faults: 0,
  }
  #server: SimServer | null = null
  #starting = false

  constructor({ seed, agents, hours, tell }: SimulationOptions) {
    this.world = new World(seed)
    this.slowness = Math.max(1, Math.sqrt(hours / shortHours))
    this.story = new Story(this.world, tell)
    this.disk = new Disk(this.world)
    this.records = drawModels(this.world, this.world.random.whole(1, 3))
    for (const record of this.records) this.disk.tables.addModel(record)
    this.models = this.records.map(({ manifest }) => manifest.name)
    const { world, story } = this
    this.hosts = Array.from({ length: agents }, (_, number) => {
      const plan = drawAgent(world, this.disk.tables, number)
      return new AgentHost({
        world,
        story,
        plan,
        accept: wire => this.#server?.accept(wire) ?? null,
      })
    })
  }

  get server(): SimServer | null {
    return this.#server?.pool === null ? null : this.#server
  }

  /** Starts the server unless it runs; one whose database is gone is started again by whoever watches over it. */
  startServer(): void {
    if (this.#starting || this.server !== null) return
    this.#starting = true
    const { world, story, disk } = this
    const server = new SimServer({
      world,
      story,
      disk,
      onSend: (sender, { agentId }, text) => {
        if (agentId === null || !isAssignment(text)) return
        const adminState = sender.pool?.dispatcher.scheduler.agent(agentId)?.adminState
        if (adminState !== 'active') world.violated(`work for ${agentId}, which is ${adminState}`)
      },
    })
    this.#server = server
    void server.start().then(runs => {
      this.#starting = false
      if (!runs) world.after(watchdogMs, () => this.startServer())
    })
  }

  /** @returns whether there was one to kill */
  killServer(): boolean {
    const { server } = this
    if (server === null) return false
    this.counts.serverDeaths++
    server.die()
    this.#cutClients()
    return true
  }

  /** @returns whether there was one to stop */
  stopServer(): boolean {
    const { server } = this
    if (server === null) return false
    void server.stop().then(() => this.#cutClients())
    return true
  }

  ask(model: string, manner: ClientManner): SimClient {
    const { world } = this
    const client = new SimClient(this.#drawChat(), model, manner, {
      world,
      tables: this.disk.tables,
      onEnd: ended => this.#ended(ended),
    })
    this.counts.requests++
    this.open.set(client.jobId, client)
    const dispatcher = this.server?.pool?.dispatcher
    if (dispatcher === undefined) client.cut()
    else client.submit(dispatcher)
    return client
  }

  #drawChat(): ChatJob {
    const { random } = this.world
    const tokens = Math.round(random.skewed(1, 100))
    return {
      messages: [{ role: 'user', content: promptFor(tokens, random.bits()) }],
      tools: [],
      sampling: { temperature: 0, topP: 1, seed: 1 },
      maxTokens: random.chance(0.2) ? random.whole(1, 60) : null,
      stop: random.chance(0.2) ? ['##', 'six#'] : [],
      renderTimeMs: 0,
    }
  }

  #cutClients(): void {
    for (const client of this.open.values()) client.cut()
  }

  #ended(client: SimClient): void {
    const { ending } = client
    if (ending === null) return
    this.open.delete(client.jobId)
    this.ended.push(client)
    this.counts[ending.type]++
    this.story.tell('client', () => {
      const why = ending.type === 'failed' ? ` (${ending.error.code}: ${ending.error.message})` : ''
      return `${client.jobId.slice(0, 8)} ${ending.type}${why} after ${client.receivedUnits} of ${client.expected.text.length} characters`
    })
  }
}

/** A service manager starts the server again so soon. */
const watchdogMs = 2_000
