import type { Instant } from '../clock.ts'
import type { ExternalModel, ExternalSource } from '../models/external-model.ts'
import type { ModelKind } from '../models/model-kind.ts'
import type { ModelShape } from '../models/model-shape-schema.ts'
import type { InstanceState } from '../protocol/agent-message.ts'
import type { Inventory } from '../protocol/gpu.ts'
import type { AgentId, InstanceId, JobId } from '../protocol/ids.ts'
import type { ProtocolFeature } from '../protocol/version.ts'
import type { PromptPrefix } from './prefix-affinity.ts'
import type { Priority } from './priority.ts'

/** What an operator wants of a model on an agent. */
export type OrderChange = {
  readonly agentId: AgentId
  readonly model: string
  /** Whether it is to be in memory; null: there is no order any more. */
  readonly loaded: boolean | null
}

/** A catalogue entry as far as placement needs it. */
export type ModelFacts = {
  readonly name: string
  readonly sha256: string
  readonly sizeBytes: number
  /** What memory it takes follows from this; null: only its size is known. */
  readonly shape: ModelShape | null
  /** Tokens one slot gets when the model is loaded. */
  readonly contextTokens: number
  /** Slots one agent gets when the model is loaded. */
  readonly slots: number
  /** An agent's own engine serves it: nothing is loaded, and only an agent that offers it counts. */
  readonly external?: ExternalSource
  /** Absent: chat. */
  readonly kind?: ModelKind
}

export type AgentFacts = {
  readonly agentId: AgentId
  readonly inventory: Inventory
  /** Only `active` agents get work. */
  readonly adminState: 'pending' | 'active' | 'draining' | 'revoked'
  /** 0 to 1. */
  readonly reliability: number
  /** What is remembered of it; null: nothing, it is taken for healthy. */
  readonly health: AgentHealth | null
  /** What the agent still holds from before a reconnect. */
  readonly instances: readonly InstanceReport[]
  /** What its owner's engines serve. */
  readonly externalModels?: readonly ExternalModel[]
  /** What it can do beyond the protocol's base set (protocol/version.ts); absent: nothing. */
  readonly features?: readonly string[]
}

/** How a machine's hardware does, apart from its liveness. */
export type AgentHealth = {
  /** Why it gets no new work: `passing` when that may be gone in a minute. Null: it gets some. */
  readonly stopped: Obstacle | null
  /** It is slower than it should be (heat) and ranked behind others that hold a model as well. */
  readonly slowed: boolean
  /** Devices that may not serve for what they did, by id, with the reason. */
  readonly unfitGpus: Readonly<Record<string, string>>
}

/**
 * Why an agent cannot take a model now, in words with figures. A `passing` obstacle may be gone in a moment (a late
 * pong, a connection that is being made anew): nothing is placed there, but a request would rather wait than be refused.
 */
export type Obstacle = {
  readonly reason: string
  readonly passing: boolean
  /** When it will be gone, or may be at the soonest; absent: nobody knows. */
  readonly until?: Instant
}

export type InstanceReport = {
  readonly instanceId: InstanceId
  readonly modelSha256: string
  readonly status: InstanceState
}

/**
 * Everything that can happen to the pool, as far as placement cares. Identifiers that a decision may need
 * (`spareInstanceId`) come in with the event: the scheduler draws nothing itself, so a seed reproduces a run.
 */
export type SchedulerEvent =
  | { readonly type: 'catalogue'; readonly models: readonly ModelFacts[] }
  | ({ readonly type: 'agent_up' } & AgentFacts)
  /** The agent's connection is gone; its leases end with it (the relay asks for new ones by `retry`). */
  | { readonly type: 'agent_down'; readonly agentId: AgentId }
  | {
      readonly type: 'admin_state'
      readonly agentId: AgentId
      readonly adminState: AgentFacts['adminState']
    }
  | {
      readonly type: 'heartbeat'
      readonly agentId: AgentId
      readonly draining: boolean
      readonly latencyMs: number | null
    }
  /** A device was measured, is lost or is back: what the machine is now. */
  | { readonly type: 'inventory'; readonly agentId: AgentId; readonly inventory: Inventory }
  /** What the owner's engines serve has changed. */
  | {
      readonly type: 'external_models'
      readonly agentId: AgentId
      readonly models: readonly ExternalModel[]
    }
  | {
      readonly type: 'reliability'
      readonly agentId: AgentId
      /** 0 to 1. */
      readonly reliability: number
    }
  | { readonly type: 'health'; readonly agentId: AgentId; readonly health: AgentHealth }
  /** A pong is overdue, or has come after all. */
  | { readonly type: 'ping'; readonly agentId: AgentId; readonly late: boolean }
  | ({ readonly type: 'instance'; readonly agentId: AgentId } & InstanceReport)
  /** An operator wants the model in memory, on one agent or on every one that can hold it. */
  | {
      readonly type: 'load_model'
      readonly model: string
      readonly agentId: AgentId | null
      readonly spareInstanceIds: readonly InstanceId[]
    }
  /** An operator wants it in memory nowhere. `enrolled`: agents that may be away; absent: none. */
  | {
      readonly type: 'unload_model'
      readonly model: string
      readonly enrolled?: readonly AgentId[]
    }
  /** What operators had ordered before this process began, and agents are still to do. */
  | {
      readonly type: 'model_orders'
      readonly orders: readonly (OrderChange & { readonly spareInstanceId: InstanceId })[]
    }
  /** How long the model stays in memory was changed. */
  | { readonly type: 'model_stay'; readonly model: string }
  | {
      readonly type: 'request'
      readonly jobId: JobId
      readonly model: string
      /** Whose request it is; those who wait share the slots by tenant. */
      readonly tenant: string
      /** Absent: normal. */
      readonly priority?: Priority
      /** What it will probably take, in tokens of a prompt (token-cost.ts). */
      readonly costTokens: number
      /** Features that an agent must have listed to be given it; absent: none. */
      readonly needs?: readonly ProtocolFeature[]
      /** Of its prompt, from short to long; absent: it shares nothing. */
      readonly prefixes?: readonly PromptPrefix[]
      readonly spareInstanceId: InstanceId
    }
  /** The attempt on the leased agent failed; the job wants to go on elsewhere. */
  | {
      readonly type: 'retry'
      readonly jobId: JobId
      readonly spareInstanceId: InstanceId
      /**
       * What this job thinks of the agent now. `avoid`: others first, for a machine that lost its connection or its
       * worker and may be back in a second. `ban`: never again for this job.
       */
      readonly formerAgent: 'avoid' | 'ban'
    }
  /** The leased agent is late: a second one that has the model in memory and a slot free may race it. Nobody waits for that. */
  | { readonly type: 'race'; readonly jobId: JobId }
  /** One of two racing agents is out of it; `formerAgent` as above, null: nothing is held against it. */
  | {
      readonly type: 'drop'
      readonly jobId: JobId
      readonly agentId: AgentId
      readonly formerAgent: 'avoid' | 'ban' | null
    }
  /** The job is over, however it ended. */
  | {
      readonly type: 'release'
      readonly jobId: JobId
      /** What it has really taken; absent: as much as was expected. */
      readonly costTokens?: number
      /** The agent that it was leased to failed it. */
      readonly failed?: boolean
    }
  | { readonly type: 'tick' }
