import type { Instant } from '../clock.ts'
import type { ExternalModel } from '../models/external-model.ts'
import type { InstanceState } from '../protocol/agent-message.ts'
import type { Inventory } from '../protocol/gpu.ts'
import type { AgentId, InstanceId, JobId } from '../protocol/ids.ts'
import type { Capacity } from './capacity.ts'
import type { AgentFacts, AgentHealth, ModelFacts } from './event.ts'
import type { AgentStanding } from './liveness.ts'

/** One model on one agent, and who is using it. */
export type Instance = {
  readonly id: InstanceId
  readonly agentId: AgentId
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
  /** Conversations that it has begun; what it keeps of the last ones is worth as much as its slots (prefix-affinity.ts). */
  conversations: number
}

/** A model that an agent could not load, and when it may be asked again. */
export type FailedLoad = {
  readonly error: string
  readonly until: Instant
  readonly delayMs: number
}

/** An agent's entry among the holders of a model (holders.ts). */
export type Place = {
  readonly weighed: (jobs: number, leased: Instance) => void
  readonly rated: () => void
  readonly leave: () => void
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
  /** Slots that it had of a model when it last loaded it, by sha256: it need not have as many as it is asked for. */
  readonly slotsHeld: Map<string, number>
  /** Sum of the leases of all instances. */
  leaseCount: number
  /** Where the index has it, and what must hear of its leases, its rating and its end. */
  places: readonly Place[]
}

/** The instance is, or may be, on a GPU that may not serve any more. */
export const isStranded = (agent: Agent, instance: Instance): boolean =>
  agent.capacity.mustNotUseGpu && !instance.withoutGpu

/** The agent's instance that can serve the model: the same weights, and room for the context that the name promises. */
export function instanceOf(agent: Agent, model: ModelFacts): Instance | undefined {
  for (const instance of agent.instances.values())
    if (
      instance.modelSha256 === model.sha256 &&
      instance.contextTokens >= model.contextTokens &&
      !instance.leaving
    )
      return instance
  return undefined
}

/** An agent whose connection broke is mostly back within seconds; requests wait that long before they are refused. */
export const returnGraceMs = 10_000
