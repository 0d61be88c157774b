import type { AgentPlan } from './agent-plan.ts'
import { Machine } from './machine.ts'
import { SimAgent } from './sim-agent.ts'
import type { Story } from './story.ts'
import type { Accept, Wire } from './wire.ts'
import type { World } from './world.ts'

export type AgentHostDeps = {
  readonly world: World
  readonly story: Story
  readonly plan: AgentPlan
  readonly accept: Accept
}

/** A machine of a contributor, and the agent on it while it runs. */
export class AgentHost {
  readonly plan: AgentPlan
  readonly machine: Machine
  readonly #deps: AgentHostDeps
  #agent: SimAgent | null = null
  /** Connections of processes that are gone, which the server may still believe in. */
  #former: readonly Wire[] = []

  constructor(deps: AgentHostDeps) {
    this.#deps = deps
    this.plan = deps.plan
    this.machine = new Machine(deps.world)
  }

  get agent(): SimAgent | null {
    return this.#agent
  }

  boot(): void {
    if (this.#agent !== null) return
    this.machine.wake()
    const { world, story, plan, accept } = this.#deps
    const { machine } = this
    const agent = new SimAgent({ world, story, machine, plan, accept, onEnded: () => this.#over() })
    this.#agent = agent
    this.tell(() => 'starts')
    machine.whenAwake(() => agent.start())
  }

  /** @param isTold whether the machine says so to the server: not at a loss of power */
  kill(isTold: boolean): void {
    if (this.#agent === null) return
    this.#agent.die(isTold)
    this.tell(() => (isTold ? 'is killed' : 'loses power'))
    this.#over()
  }

  stop(): void {
    if (this.#agent === null || !this.machine.isAwake) return
    this.#agent.stop()
    this.tell(() => 'is stopped by its owner')
    this.#over()
  }

  cutOff(): void {
    this.plan.isCutOff = true
    for (const wire of this.#wires) wire.block()
  }

  reconnect(): void {
    this.plan.isCutOff = false
    for (const wire of this.#wires) wire.unblock()
  }

  resetWires(): void {
    for (const wire of this.#wires) wire.reset()
  }

  wake(): void {
    this.machine.wake()
    this.#agent?.machineChanged()
  }

  setTemperature(celsius: number): void {
    this.plan.temperatureC = celsius
    this.#agent?.machineChanged()
  }

  setWallClock(errorMs: number): void {
    this.machine.setWallClock(errorMs)
    this.#agent?.machineChanged()
  }

  tell(what: () => string): void {
    this.#deps.story.tell(this.plan.name, what)
  }

  get #wires(): readonly Wire[] {
    return [...this.#former, ...(this.#agent?.wires ?? [])]
  }

  #over(): void {
    this.#former = this.#wires.filter(wire => wire.isOpen)
    this.#agent = null
  }
}
