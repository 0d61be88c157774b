import type { Instant } from '../clock.ts'
import { externalModelSha256, type ExternalModel } from '../models/external-model.ts'
import type { InstanceState } from '../protocol/agent-message.ts'
import type { Inventory } from '../protocol/gpu.ts'
import type { AgentId, InstanceId, JobId } from '../protocol/ids.ts'
import { limits } from '../protocol/limits.ts'
import { Capacity } from './capacity.ts'
import type { AgentFacts, AgentHealth, InstanceReport, ModelFacts } from './event.ts'
import { standingOf, type AgentStanding } from './liveness.ts'

/** One model on one agent, and who is using it. */
export type Instance = {
  readonly id: InstanceId
  readonly modelSha256: string
  /** Tokens a slot was asked to hold, or holds as far as the agent says; two names of one file may want different ones. */
  readonly contextTokens: number
  /** None of the pool's is on a GPU, because the GPUs may not serve; false also when that is not known. */
  readonly withoutGpu: boolean
  status: InstanceState
  /** Slots, from the catalogue until the agent has said what it really has. */
  slots: number
  /** It was told to unload and gets nothing new. */
  leaving: boolean
  readonly leases: Set<JobId>
}

/** A model that an agent could not load, and when it may be asked again. */
export type FailedLoad = {
  readonly error: string
  readonly until: Instant
  readonly delayMs: number
}

/** What is believed about one agent. Only the fleet and the scheduler change it. */
export type Agent = {
  readonly id: AgentId
  inventory: Inventory
  /** What it can hold, by the inventory and `health`. */
  capacity: Capacity
  health: AgentHealth
  /** What its owner's engines serve. */
  externalModels: readonly ExternalModel[]
  /** What it can do beyond the protocol's base set. */
  readonly features: readonly string[]
  adminState: AgentFacts['adminState']
  /** The owner drains it, whatever the operator says. */
  draining: boolean
  reliability: number
  latencyMs: number | null
  connected: boolean
  /** When the connection ended; meaningless while connected. */
  disconnectedAt: Instant
  lastHeartbeatAt: Instant
  pingLate: boolean
  /** The standing that was last announced. */
  standing: AgentStanding
  readonly instances: Map<InstanceId, Instance>
  /** By the model's sha256; forgotten when the model is ready or the agent connects anew. */
  readonly failedLoads: Map<string, FailedLoad>
  /** Sum of the leases of all instances. */
  leaseCount: number
}

/** Nothing is known against it. */
const healthy: AgentHealth = { stopped: null, slowed: false, unfitGpus: {} }

/** The instance is, or may be, on a GPU that may not serve any more. */
export const isStranded = (agent: Agent, instance: Instance): boolean =>
  agent.capacity.mustNotUseGpu && !instance.withoutGpu

/** A model that does not load is asked for again after half a minute, then after twice as long, up to a quarter hour. */
const failedLoadDelayMinMs = 30_000
const failedLoadDelayMaxMs = 900_000

/**
 * All agents, with an index by model so that a decision looks only at the agents that hold it.
 */
export class Fleet {
  readonly agents = new Map<AgentId, Agent>()
  readonly #holders = new Map<string, Set<Agent>>()

  /** Takes a (re)connected agent in; what it reports replaces what was believed, leases included. */
  up(facts: AgentFacts, now: Instant): Agent {
    this.#forgetInstances(this.agents.get(facts.agentId))
    const health = facts.health ?? healthy
    const agent: Agent = {
      id: facts.agentId,
      inventory: facts.inventory,
      capacity: new Capacity(facts.inventory, health.unfitGpus),
      health,
      externalModels: facts.externalModels ?? [],
      features: facts.features ?? [],
      adminState: facts.adminState,
      draining: false,
      reliability: facts.reliability,
      latencyMs: null,
      connected: true,
      disconnectedAt: now,
      lastHeartbeatAt: now,
      pingLate: false,
      standing: standingOf({ connected: true, lastHeartbeatAt: now, pingLate: false }, now),
      instances: new Map(),
      failedLoads: new Map(),
      leaseCount: 0,
    }
    this.agents.set(agent.id, agent)
    for (const report of facts.instances) this.report(agent, report, now)
    return agent
  }

  /** The machine is another one than hello said. */
  setInventory(agent: Agent, inventory: Inventory): void {
    agent.inventory = inventory
    agent.capacity = new Capacity(inventory, agent.health.unfitGpus)
  }

  /** The owner's engines serve something else now; one that is back is asked again at once. */
  setExternalModels(agent: Agent, models: readonly ExternalModel[]): void {
    agent.externalModels = models
    for (const { modelId, fingerprint } of models)
      for (const pinned of [null, fingerprint])
        agent.failedLoads.delete(externalModelSha256({ modelId, fingerprint: pinned }))
  }

  /** Takes over what the agent says about an instance; one that is unloaded or failed is forgotten. */
  report(agent: Agent, { instanceId, modelSha256, status }: InstanceReport, now: Instant): void {
    const known = agent.instances.get(instanceId)
    if (status.state === 'unloaded' || status.state === 'failed') {
      if (known !== undefined) this.#forget(agent, known)
      if (status.state === 'failed') noteFailedLoad(agent, modelSha256, status.error.message, now)
      return
    }
    if (known === undefined && agent.instances.size >= limits.instancesPerAgentMax) return
    // An instance from before a reconnect: until it says otherwise it has one slot and holds whatever is asked.
    const contextTokens = status.state === 'ready' ? status.contextTokens : Infinity
    const what = { id: instanceId, modelSha256, contextTokens, slots: 1, withoutGpu: false }
    const instance = known ?? this.#add(agent, what)
    instance.status = status
    if (status.state !== 'ready') return
    instance.slots = status.slots
    agent.failedLoads.delete(modelSha256)
  }

  /** The agent is about to be told to load the model. */
  load(agent: Agent, id: InstanceId, model: ModelFacts): Instance {
    const { sha256: modelSha256, contextTokens, slots } = model
    // An owner's engine uses what its owner lets it use.
    const withoutGpu = model.external !== undefined || agent.capacity.mustNotUseGpu
    return this.#add(agent, { id, modelSha256, contextTokens, slots, withoutGpu })
  }

  /** Health changes a few times a day, so judging the machine anew is nothing. */
  setHealth(agent: Agent, health: AgentHealth): void {
    agent.health = health
    agent.capacity = new Capacity(agent.inventory, health.unfitGpus)
  }

  #add(
    agent: Agent,
    what: Pick<Instance, 'id' | 'modelSha256' | 'contextTokens' | 'slots' | 'withoutGpu'>,
  ): Instance {
    const instance: Instance = {
      ...what,
      status: { state: 'loading', progress: null },
      leaving: false,
      leases: new Set(),
    }
    agent.instances.set(instance.id, instance)
    const holders = this.#holders.get(instance.modelSha256)
    if (holders === undefined) this.#holders.set(instance.modelSha256, new Set([agent]))
    else holders.add(agent)
    return instance
  }

  /** Agents that hold the model or are loading it. */
  holders(modelSha256: string): Iterable<Agent> {
    return this.#holders.get(modelSha256) ?? []
  }

  /** The agent's instance that can serve the model: the same weights, and room for the context that the name promises. */
  instanceOf(agent: Agent, model: ModelFacts): Instance | undefined {
    for (const instance of agent.instances.values())
      if (
        instance.modelSha256 === model.sha256 &&
        instance.contextTokens >= model.contextTokens &&
        !instance.leaving
      )
        return instance
    return undefined
  }

  lease(agent: Agent, instance: Instance, jobId: JobId): void {
    instance.leases.add(jobId)
    agent.leaseCount++
  }

  release(agentId: AgentId, instanceId: InstanceId, jobId: JobId): void {
    const agent = this.agents.get(agentId)
    if (agent?.instances.get(instanceId)?.leases.delete(jobId) === true) agent.leaseCount--
  }

  /** The connection is gone: nothing is held there any more as far as placement goes. */
  down(agent: Agent, now: Instant): void {
    this.#forgetInstances(agent)
    agent.connected = false
    agent.disconnectedAt = now
  }

  remove(agent: Agent): void {
    this.#forgetInstances(agent)
    this.agents.delete(agent.id)
  }

  #forgetInstances(agent: Agent | undefined): void {
    if (agent === undefined) return
    for (const instance of agent.instances.values()) this.#forget(agent, instance)
  }

  #forget(agent: Agent, instance: Instance): void {
    agent.instances.delete(instance.id)
    agent.leaseCount -= instance.leases.size
    instance.leases.clear()
    for (const other of agent.instances.values())
      if (other.modelSha256 === instance.modelSha256) return
    const holders = this.#holders.get(instance.modelSha256)
    holders?.delete(agent)
    if (holders?.size === 0) this.#holders.delete(instance.modelSha256)
  }
}

function noteFailedLoad(agent: Agent, sha256: string, error: string, now: Instant): void {
  const before = agent.failedLoads.get(sha256)?.delayMs
  const delayMs =
    before === undefined ? failedLoadDelayMinMs : Math.min(2 * before, failedLoadDelayMaxMs)
  agent.failedLoads.set(sha256, { error, until: now + delayMs, delayMs })
}
