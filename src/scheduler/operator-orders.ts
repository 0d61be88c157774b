import type { Instant } from '../clock.ts'
import type { AgentId, InstanceId } from '../protocol/ids.ts'
import { instanceOf, type Agent, type Instance } from './agent.ts'
import type { SchedulerCommand } from './command.ts'
import { Desired } from './desired.ts'
import type { ModelFacts, SchedulerEvent } from './event.ts'
import { obstacle } from './feasibility.ts'
import type { Fleet } from './fleet.ts'
import type { ModelNames } from './model-names.ts'

export type OperatorOrdersDeps = {
  readonly fleet: Fleet
  readonly models: ModelNames
  readonly load: (agent: Agent, instanceId: InstanceId, model: ModelFacts) => void
  readonly unload: (agent: Agent, instance: Instance) => void
  readonly tell: (command: SchedulerCommand) => void
}

type EventOf<Type extends SchedulerEvent['type']> = Extract<SchedulerEvent, { type: Type }>

/** What operators say of models in memory: done at once where it can be, and else when the agent is back or free for it. */
export class OperatorOrders {
  readonly #deps: OperatorOrdersDeps
  readonly #desired = new Desired()

  constructor(deps: OperatorOrdersDeps) {
    this.#deps = deps
  }

  /** Whether the model is still to be loaded there, or to be loaded again when the agent comes back without it. */
  isWanted(agentId: AgentId, model: string): boolean {
    return this.#desired.isWanted(agentId, model)
  }

  restore({ orders }: EventOf<'model_orders'>, now: Instant): void {
    for (const { spareInstanceId, ...order } of orders)
      this.#desired.restore(order, spareInstanceId)
    this.tick(now)
  }

  /** One that is away, or cannot for the moment, gets it later if it was named. */
  load({ model: name, agentId, spareInstanceIds }: EventOf<'load_model'>, now: Instant): void {
    const model = this.#deps.models.get(name)
    if (model === undefined) return
    const spare = [...spareInstanceIds]
    const { agents } = this.#deps.fleet
    const named = agentId === null ? undefined : agents.get(agentId)
    if (agentId !== null && named?.connected !== true) {
      const instanceId = spare.pop()
      if (instanceId !== undefined) this.#desired.wantLoaded(agentId, name, instanceId)
      return
    }
    for (const agent of named === undefined ? agents.values() : [named]) {
      const isHeld = instanceOf(agent, model) !== undefined
      const inTheWay = isHeld ? null : obstacle(agent, model, now)
      if (inTheWay !== null && (named === undefined || !inTheWay.passing)) continue
      const instanceId = spare.pop()
      if (instanceId === undefined) return
      this.#desired.wantLoaded(agent.id, name, instanceId)
      this.#converge(agent, now)
    }
  }

  unload({ model: name, enrolled = nobody }: EventOf<'unload_model'>, now: Instant): void {
    const { fleet, models } = this.#deps
    const model = models.get(name)
    if (model === undefined) return
    for (const agent of fleet.agents.values()) {
      const holds = [...agent.instances.values()].some(
        ({ modelSha256 }) => modelSha256 === model.sha256,
      )
      if (agent.connected && !holds) this.#desired.drop(agent.id, name, null)
      else this.#desired.wantUnloaded(agent.id, name)
      if (agent.connected) this.#converge(agent, now)
    }
    for (const agentId of enrolled)
      if (!fleet.agents.has(agentId)) this.#desired.wantUnloaded(agentId, name)
  }

  /** How long the model stays was changed; agents that hold it hear the order to load it once more. */
  stayChanged(name: string): void {
    const model = this.#deps.models.get(name)
    if (model === undefined) return
    for (const agent of this.#deps.fleet.agents.values())
      if (agent.connected)
        for (const instance of agent.instances.values())
          if (instance.modelSha256 === model.sha256) this.#remind(agent, instance, model)
  }

  /** What the agent missed while it was away. */
  agentUp(agent: Agent, now: Instant): void {
    for (const instance of agent.instances.values()) {
      const model = this.#deps.models.of(instance.modelSha256).at(-1)
      if (model !== undefined) this.#remind(agent, instance, model)
    }
    this.#converge(agent, now)
  }

  /** Somebody wants the model there, after it was to be unloaded. */
  loaded(agent: Agent, model: ModelFacts): void {
    this.#desired.drop(agent.id, model.name, 'unload')
  }

  /** An instance is gone. @param bySelf the agent let it go unasked, for room or because nobody used it */
  gone(agent: Agent, modelSha256: string, bySelf: boolean, now: Instant): void {
    if (bySelf)
      for (const { name } of this.#deps.models.of(modelSha256))
        this.#desired.drop(agent.id, name, 'load')
    if (agent.connected) this.#converge(agent, now)
  }

  catalogueChanged(): void {
    this.#desired.keep(this.#deps.models)
  }

  tick(now: Instant): void {
    for (const agentId of this.#desired.agents()) {
      const agent = this.#deps.fleet.agents.get(agentId)
      if (agent?.connected === true) this.#converge(agent, now)
    }
  }

  /** Tells which orders are to be kept, and which are done. */
  report(): void {
    for (const change of this.#desired.takeChanges()) this.#deps.tell({ type: 'order', ...change })
  }

  #converge(agent: Agent, now: Instant): void {
    const { load, unload } = this.#desired.steps(agent, this.#deps.models)
    for (const instance of unload) this.#deps.unload(agent, instance)
    for (const { model, instanceId } of load)
      if (obstacle(agent, model, now) === null) this.#deps.load(agent, instanceId, model)
  }

  #remind({ id: agentId }: Agent, instance: Instance, model: ModelFacts): void {
    const { id: instanceId, withoutGpu, leaving } = instance
    if (leaving || model.external !== undefined) return
    this.#deps.tell({ type: 'remind', agentId, instanceId, model, withoutGpu })
  }
}

const nobody: readonly AgentId[] = []
