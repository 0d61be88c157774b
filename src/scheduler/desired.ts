import type { AgentId, InstanceId } from '../protocol/ids.ts'
import { instanceOf, type Agent, type Instance } from './agent.ts'
import type { ModelFacts, OrderChange } from './event.ts'

/** What the operator wants of a model on an agent: loaded, always as the same instance, or not loaded. */
type Order =
  { readonly type: 'load'; readonly instanceId: InstanceId } | { readonly type: 'unload' }

type Catalogue = {
  get(name: string): ModelFacts | undefined
  has(name: string): boolean
}

/** What an agent still has to do to be as it should be. */
export type Steps = {
  readonly load: readonly { readonly model: ModelFacts; readonly instanceId: InstanceId }[]
  readonly unload: readonly Instance[]
}

/**
 * What the operator has ordered, until it is done for good: a load until the agent itself lets the model go (for room, or
 * because nobody uses it) or it is ordered otherwise, an unload until the agent says that it is gone. So what was said while
 * an agent or the server was away is done when they are back. At most one order for an agent and a model.
 */
export class Desired {
  readonly #orders = new Map<AgentId, Map<string, Order>>()
  #changes: OrderChange[] = []

  /** Changes since the last call, to be kept where they outlive the process. */
  takeChanges(): readonly OrderChange[] {
    const changes = this.#changes
    if (changes.length > 0) this.#changes = []
    return changes
  }

  /** An order that was kept. */
  restore({ agentId, model, loaded }: OrderChange, instanceId: InstanceId): void {
    if (loaded !== null) this.#put(agentId, model, loaded ? { type: 'load', instanceId } : unload)
  }

  wantLoaded(agentId: AgentId, model: string, instanceId: InstanceId): void {
    if (this.#orders.get(agentId)?.get(model)?.type === 'load') return
    this.#put(agentId, model, { type: 'load', instanceId })
    this.#changes.push({ agentId, model, loaded: true })
  }

  wantUnloaded(agentId: AgentId, model: string): void {
    if (this.#orders.get(agentId)?.get(model)?.type === 'unload') return
    this.#put(agentId, model, unload)
    this.#changes.push({ agentId, model, loaded: false })
  }

  /** There is no order for it any more. @param only null: whatever it was */
  drop(agentId: AgentId, model: string, only: Order['type'] | null): void {
    const orders = this.#orders.get(agentId)
    const order = orders?.get(model)
    if (orders === undefined || order === undefined || (only !== null && order.type !== only))
      return
    orders.delete(model)
    if (orders.size === 0) this.#orders.delete(agentId)
    this.#changes.push({ agentId, model, loaded: null })
  }

  /** Agents that orders are for. */
  agents(): Iterable<AgentId> {
    return this.#orders.keys()
  }

  isWanted(agentId: AgentId, model: string): boolean {
    return this.#orders.get(agentId)?.get(model)?.type === 'load'
  }

  /** Orders for models that have left the catalogue are forgotten. */
  keep(models: Catalogue): void {
    for (const [agentId, orders] of this.#orders)
      for (const model of orders.keys()) if (!models.has(model)) this.drop(agentId, model, null)
  }

  /** What is to be done on a connected agent; an unload that is done is forgotten by the way. */
  steps(agent: Agent, models: Catalogue): Steps {
    const load: Steps['load'][number][] = []
    const leaving: Instance[] = []
    for (const [name, order] of this.#orders.get(agent.id) ?? []) {
      const model = models.get(name)
      if (model === undefined) continue
      if (order.type === 'load') {
        const { instanceId } = order
        if (!agent.instances.has(instanceId) && instanceOf(agent, model) === undefined)
          load.push({ model, instanceId })
        continue
      }
      const held = [...agent.instances.values()].filter(
        ({ modelSha256 }) => modelSha256 === model.sha256,
      )
      if (held.length === 0) this.drop(agent.id, name, 'unload')
      leaving.push(...held.filter(instance => !instance.leaving))
    }
    return { load, unload: leaving }
  }

  #put(agentId: AgentId, model: string, order: Order): void {
    const orders = this.#orders.get(agentId) ?? new Map<string, Order>()
    this.#orders.set(agentId, orders)
    orders.set(model, order)
  }
}

const unload: Order = { type: 'unload' }
