import type { AgentId, InstanceId, JobId } from '../protocol/ids.ts'
import type { ProtocolFeature } from '../protocol/version.ts'
import type { Agent, Instance } from './agent.ts'
import type { ModelFacts } from './event.ts'
import type { Fleet } from './fleet.ts'
import type { Wish } from './loaders.ts'

type Lease = { readonly agentId: AgentId; readonly instanceId: InstanceId }

/** What a job thinks of an agent that it leaves; null: nothing. */
export type FormerAgent = 'avoid' | 'ban' | null

/** A job that is leased or waits; the model is pinned, so that a retry never goes on with other weights. */
export class Job implements Wish {
  readonly id: JobId
  readonly model: ModelFacts
  readonly needs: readonly ProtocolFeature[]
  avoided: ReadonlySet<AgentId> = nobody
  banned: ReadonlySet<AgentId> = nobody
  /** Who could have taken over when the last lease was given, best first. */
  fallbacks: readonly AgentId[] = noFallbacks
  #lease: Lease | null = null
  /** Of a second agent that races the first. */
  #standby: Lease | null = null

  constructor(id: JobId, model: ModelFacts, needs: readonly ProtocolFeature[]) {
    this.id = id
    this.model = model
    this.needs = needs
  }

  get isLeased(): boolean {
    return this.#lease !== null
  }

  /** What a second agent must be; null: it is no time for one. */
  get standbyWish(): Wish | null {
    if (this.#lease === null || this.#standby !== null) return null
    const { needs, avoided, banned, fallbacks } = this
    return { needs, avoided, banned: new Set([...banned, this.#lease.agentId]), fallbacks }
  }

  /** Takes a slot: the first one, or that of a second agent. */
  lease(fleet: Fleet, agent: Agent, instance: Instance): void {
    fleet.lease(agent, instance, this.id)
    const lease = { agentId: agent.id, instanceId: instance.id }
    if (this.#lease === null) this.#lease = lease
    else this.#standby = lease
  }

  /** One of two racing agents is out of it. */
  drop(fleet: Fleet, agentId: AgentId, formerAgent: FormerAgent): void {
    if (this.#lease === null || this.#standby === null) return
    const isFirst = this.#lease.agentId === agentId
    if (!isFirst && this.#standby.agentId !== agentId) return
    const [dropped, kept] = isFirst ? [this.#lease, this.#standby] : [this.#standby, this.#lease]
    this.#lease = kept
    this.#standby = null
    fleet.release(agentId, dropped.instanceId, this.id)
    this.#remember(agentId, formerAgent)
  }

  /** Gives every slot back. @param formerAgent what it thinks of the agent that it had */
  letGo(fleet: Fleet, formerAgent: FormerAgent): void {
    if (this.#lease !== null) this.#remember(this.#lease.agentId, formerAgent)
    for (const lease of [this.#lease, this.#standby])
      if (lease !== null) fleet.release(lease.agentId, lease.instanceId, this.id)
    this.#lease = null
    this.#standby = null
  }

  #remember(agentId: AgentId, formerAgent: FormerAgent): void {
    if (formerAgent === 'ban') this.banned = new Set([...this.banned, agentId])
    else if (formerAgent === 'avoid') this.avoided = new Set([...this.avoided, agentId])
  }
}

/** Most jobs never think ill of anybody. */
const nobody: ReadonlySet<AgentId> = new Set()
const noFallbacks: readonly AgentId[] = []
