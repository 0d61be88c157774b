import type { Pool } from '../src/server/pool/assemble-pool.ts'
import type { Agent } from '../src/scheduler/agent.ts'
import { waitingLengthMax } from '../src/scheduler/fair-queue.ts'
import { attemptsMax } from '../src/server/relay/relay-stream.ts'
import type { Simulation } from './simulation.ts'

/** With more agents than these, not all are looked at after every event but some, in turn. */
const agentsAtOnceMax = 16
/** A second agent may race the first. */
const leasesOfJobMax = 2

/**
 * What must hold in the server after every event, whatever has happened. (What clients are promised is checked where they
 * get it, in sim-client.ts.)
 */
export class Invariants {
  readonly #simulation: Simulation
  /** Leases of an instance when it was last looked at: an agent may say that it has fewer slots than are leased. */
  #leases = new Map<string, number>()
  #pool: Pool | null = null
  #turn = 0

  constructor(simulation: Simulation) {
    this.#simulation = simulation
  }

  check(): void {
    const pool = this.#simulation.server?.pool ?? null
    if (pool !== this.#pool) this.#leases = new Map()
    this.#pool = pool
    if (pool === null) return
    const { requestsRunning, scheduler } = pool.dispatcher
    if (scheduler.waiting > waitingLengthMax * attemptsMax)
      this.#violated(`${scheduler.waiting} requests wait`)
    if (scheduler.waiting > requestsRunning)
      this.#violated(`${scheduler.waiting} requests wait of ${requestsRunning} there are`)
    const { hosts } = this.#simulation
    if (hosts.length <= agentsAtOnceMax) this.#checkAll(pool)
    else this.#checkSome(pool)
  }

  #checkAll({ dispatcher: { scheduler, requestsRunning } }: Pool): void {
    const leased = new Map<string, number>()
    for (const agent of scheduler.agents()) {
      this.#checkAgent(agent)
      for (const { leases } of agent.instances.values())
        for (const job of leases) leased.set(job, (leased.get(job) ?? 0) + 1)
    }
    for (const [job, leases] of leased)
      if (leases > leasesOfJobMax) this.#violated(`${job} has ${leases} leases`)
    if (leased.size + scheduler.waiting > requestsRunning)
      this.#violated(
        `${leased.size} are leased and ${scheduler.waiting} wait of ${requestsRunning} requests`,
      )
  }

  #checkSome({ dispatcher: { scheduler } }: Pool): void {
    const { hosts } = this.#simulation
    const host = hosts[this.#turn++ % hosts.length]
    if (host === undefined) return
    const agent = scheduler.agent(host.plan.enrolment.identity.agentId)
    if (agent !== undefined) this.#checkAgent(agent)
  }

  #checkAgent(agent: Readonly<Agent>): void {
    let leases = 0
    for (const { id, leases: held, slots } of agent.instances.values()) {
      const { size } = held
      leases += size
      const before = this.#leases.get(id) ?? 0
      if (size > slots && size > before)
        this.#violated(`${size} leases on ${slots} slots of ${id} on ${agent.id}`)
      if (size !== before) this.#leases.set(id, size)
    }
    if (leases !== agent.leaseCount)
      this.#violated(`${agent.id} has ${leases} leases and counts ${agent.leaseCount}`)
    const running = this.#simulation.server?.assignments.runningOn(agent.id) ?? 0
    if (leases > running)
      this.#violated(`${agent.id} has ${leases} leases and ${running} attempts under way`)
  }

  /** After everything has ended: nothing is held for anybody. */
  checkIdle(): void {
    const { server, hosts, disk, ended } = this.#simulation
    const pool = server?.pool
    if (pool === undefined || pool === null) return this.#violated('there is no server')
    const { requestsRunning, scheduler } = pool.dispatcher
    if (requestsRunning > 0) this.#violated(`${requestsRunning} requests that nobody waits for`)
    if (scheduler.waiting > 0) this.#violated(`${scheduler.waiting} wait for nobody`)
    for (const agent of scheduler.agents())
      if (agent.leaseCount > 0) this.#violated(`${agent.id} has leases for nobody`)
    for (const { agent, plan } of hosts)
      if (agent !== null && agent.jobs > 0)
        this.#violated(`${plan.name} works on ${agent.jobs} jobs for nobody`)
    for (const client of ended) client.checkDelivered()
    this.#checkSums(disk.tables)
  }

  /** Usage is the sum over the requests. */
  #checkSums(tables: Simulation['disk']['tables']): void {
    const usage = tables.usage()
    const total = (name: 'promptTokens' | 'completionTokens') =>
      usage.reduce((sum, row) => sum + row[name], 0)
    let [promptTokens, completionTokens] = [0, 0]
    for (const row of tables.requests.values()) {
      promptTokens += row.promptTokens
      completionTokens += row.completionTokens
    }
    if (total('promptTokens') !== promptTokens || total('completionTokens') !== completionTokens)
      this.#violated('usage is not the sum of the requests')
  }

  #violated(what: string): void {
    this.#simulation.world.violated(what)
  }
}
