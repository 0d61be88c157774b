import type { Instant } from '../clock.ts'
import type { AgentId, InstanceId, JobId } from '../protocol/ids.ts'
import type { ProtocolFeature } from '../protocol/version.ts'
import type { Agent, Instance } from './agent.ts'
import type { ModelFacts, SchedulerEvent } from './event.ts'
import type { Fleet } from './fleet.ts'
import type { Wish } from './loaders.ts'
import type { KeptPrompt, PromptPrefix } from './prefix-affinity.ts'
import type { Priority } from './priority.ts'
import type { Waiting } from './waiting.ts'

type Lease = { readonly agentId: AgentId; readonly instanceId: InstanceId }

/** What a job thinks of an agent that it leaves; null: nothing. */
export type FormerAgent = 'avoid' | 'ban' | null

/** A job that is leased or waits; the model is pinned, so that a retry never goes on with other weights. */
export class Job implements Wish, KeptPrompt {
  readonly jobId: JobId
  readonly model: ModelFacts
  readonly tenant: string
  readonly priority: Priority
  /** What it was expected to take when it came. */
  readonly costTokens: number
  readonly needs: readonly ProtocolFeature[]
  avoided: ReadonlySet<AgentId> = nobody
  banned: ReadonlySet<AgentId> = nobody
  /** Who could have taken over when the last lease was given, best first. */
  fallbacks: readonly AgentId[] = noFallbacks
  readonly prefixes: readonly PromptPrefix[]
  /** Of its prompt, that the lease's instance had already. */
  continuedTokens = 0
  /** It has had a lease, and was charged for it. */
  begun = false
  #lease: Lease | null = null
  /** Of a second agent that races the first. */
  #standby: Lease | null = null

  constructor(request: Extract<SchedulerEvent, { type: 'request' }>, model: ModelFacts) {
    this.jobId = request.jobId
    this.model = model
    this.tenant = request.tenant
    this.priority = request.priority ?? 'normal'
    this.costTokens = request.costTokens
    this.needs = request.needs ?? noNeeds
    this.prefixes = request.prefixes ?? noPrefixes
  }

  get isLeased(): boolean {
    return this.#lease !== null
  }

  /** What a second agent must be; null: it is no time for one. */
  get standbyWish(): Wish | null {
    if (this.#lease === null || this.#standby !== null) return null
    const { needs, avoided, fallbacks, prefixes } = this
    const banned = new Set([...this.banned, this.#lease.agentId])
    return { needs, avoided, banned, fallbacks, prefixes }
  }

  /** Takes a slot: the first one, or that of a second agent. */
  lease(fleet: Fleet, agent: Agent, instance: Instance): void {
    fleet.lease(agent, instance, this.jobId)
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
    fleet.release(agentId, dropped.instanceId, this.jobId, formerAgent === null ? this : null)
    if (isFirst) this.continuedTokens = 0
    this.#remember(agentId, formerAgent)
  }

  /**
   * Gives every slot back.
   * @param formerAgent what it thinks of the agent that it had
   * @param failed that agent did not bring it to its end
   */
  letGo(fleet: Fleet, formerAgent: FormerAgent, failed: boolean): void {
    if (this.#lease !== null) this.#remember(this.#lease.agentId, formerAgent)
    this.#giveBack(fleet, this.#lease, failed)
    this.#giveBack(fleet, this.#standby, false)
    this.#lease = null
    this.#standby = null
  }

  #giveBack(fleet: Fleet, lease: Lease | null, failed: boolean): void {
    if (lease === null) return
    fleet.release(lease.agentId, lease.instanceId, this.jobId, failed ? null : this)
  }

  #remember(agentId: AgentId, formerAgent: FormerAgent): void {
    if (formerAgent === 'ban') this.banned = new Set([...this.banned, agentId])
    else if (formerAgent === 'avoid') this.avoided = new Set([...this.avoided, agentId])
  }
}

/** Most jobs never think ill of anybody. */
const nobody: ReadonlySet<AgentId> = new Set()
const noFallbacks: readonly AgentId[] = []
const noNeeds: readonly ProtocolFeature[] = []
const noPrefixes: readonly PromptPrefix[] = []

/** What the queue keeps of a job. */
export function waitingOf(job: Job, spareInstanceId: InstanceId, since: Instant): Waiting {
  const { jobId, model, tenant, priority, costTokens, needs, banned } = job
  const lane = banned.size > 0 ? `alone ${jobId}` : needs.toSorted().join(' ')
  return { jobId, model: model.name, tenant, priority, costTokens, lane, since, spareInstanceId }
}
