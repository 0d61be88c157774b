import type { Instant } from '../src/clock.ts'
import type { AgentHost } from './agent-host.ts'
import type { Simulation } from './simulation.ts'

/** A cancel takes no longer than this to be where it should. */
const cancelArrivesMs = 20_000
const lookMs = 1_000

type Suspicion = { readonly what: string; readonly since: Instant }

/** Work that nobody waits for: nobody told the agent to stop, or it did not listen. */
export class Orphans {
  readonly #simulation: Simulation
  readonly #suspicions = new Map<AgentHost, Suspicion>()

  constructor(simulation: Simulation) {
    this.#simulation = simulation
    simulation.world.every(lookMs, () => {
      for (const host of simulation.hosts) this.#look(host)
    })
  }

  #look(host: AgentHost): void {
    const { world } = this.#simulation
    const what = this.#orphanOf(host)
    const before = this.#suspicions.get(host)
    if (what === null) this.#suspicions.delete(host)
    else if (before?.what !== what) this.#suspicions.set(host, { what, since: world.now() })
    else if (world.now() - before.since > cancelArrivesMs)
      world.violated(`${host.plan.name} ${what}`)
  }

  /** Of a machine that could know better: it runs, it is connected, and it listens. */
  #orphanOf({ agent, machine, plan }: AgentHost): string | null {
    const pool = this.#simulation.server?.pool
    const assignments = this.#simulation.server?.assignments
    if (pool === null || pool === undefined || assignments === undefined || agent === null)
      return null
    const id = plan.enrolment.identity.agentId
    const running = assignments.runningOn(id)
    if (running > (pool.dispatcher.scheduler.agent(id)?.leaseCount ?? 0))
      return 'was given work that has no lease'
    if (agent.jobs === 0 || !agent.isOnline || !machine.isAwake || plan.isCutOff) return null
    return agent.jobs > running ? 'works on what nobody waits for' : null
  }
}
