import type { AgentHost } from './agent-host.ts'
import { agentFaults } from './agent-faults.ts'
import { poolFaults } from './pool-faults.ts'
import { drawLies } from './setup.ts'
import type { Simulation } from './simulation.ts'

/** Something that goes wrong. What it breaks, it mends by itself after a while, unless the healing comes first. */
export type AgentFault = (host: AgentHost, simulation: Simulation) => void
export type PoolFault = (simulation: Simulation) => void

/** Mean time between two of a kind: for one agent, or for the whole pool. */
const meanMs = { min: 15_000, max: 1_200_000 } as const
const kindIsOn = 0.35

/**
 * What goes wrong in one world. As in a swarm test, each seed draws which kinds there are at all and how often: where
 * everything happens at once, most of it hides behind the rest.
 */
export class Faults {
  readonly names: readonly string[]
  readonly #simulation: Simulation
  #isOver = false

  constructor(simulation: Simulation) {
    const { world, hosts } = simulation
    const { random } = world
    const drawMeanMs = () => random.spread(meanMs.min, meanMs.max) * simulation.slowness
    this.#simulation = simulation
    const names: string[] = []
    for (const [name, fault] of Object.entries(agentFaults)) {
      if (!random.chance(kindIsOn)) continue
      names.push(name)
      this.#again(drawMeanMs() / hosts.length, () => {
        const host = hosts[random.whole(0, hosts.length - 1)]
        if (host !== undefined) fault(host, simulation)
      })
    }
    for (const [name, fault] of Object.entries(poolFaults)) {
      if (!random.chance(kindIsOn)) continue
      names.push(name)
      this.#again(drawMeanMs(), () => fault(simulation))
    }
    if (random.chance(kindIsOn)) {
      names.push('lies')
      for (const { plan } of hosts)
        if (random.chance(0.4)) Object.assign(plan.lies, drawLies(world))
    }
    if (random.chance(kindIsOn)) {
      names.push('slots')
      for (const { plan } of hosts)
        if (random.chance(0.4)) plan.manner.slotsClaimed = random.pick([1, 2, 8, 256])
    }
    this.names = names
  }

  stop(): void {
    this.#isOver = true
  }

  #again(mean: number, act: () => void): void {
    const { world, counts } = this.#simulation
    world.after(-Math.log(1 - world.random.next()) * mean, () => {
      if (this.#isOver) return
      counts.faults++
      act()
      this.#again(mean, act)
    })
  }
}
