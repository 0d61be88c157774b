import type { Failure } from '../protocol/errors.ts'
import type { AgentId, InstanceId, JobId } from '../protocol/ids.ts'
import type { ModelFacts, OrderChange } from './event.ts'
import type { AgentStanding } from './liveness.ts'

/** Everything the scheduler can ask for. The dispatcher performs commands in their order. */
export type SchedulerCommand =
  /** Run the job there. `fallbacks` are the agents that could take over now, best first. */
  | {
      readonly type: 'lease'
      readonly jobId: JobId
      readonly agentId: AgentId
      readonly instanceId: InstanceId
      /** The model is in memory there. */
      readonly ready: boolean
      /** Tokens that a slot of it holds. */
      readonly contextTokens: number
      readonly fallbacks: readonly AgentId[]
      /** In line before this lease; 0: a slot was free. */
      readonly waitedMs: number
    }
  /** A second lease, as `race` asked for. */
  | {
      readonly type: 'standby'
      readonly jobId: JobId
      readonly agentId: AgentId
      readonly instanceId: InstanceId
      readonly contextTokens: number
    }
  /** It waits, or its place is another one now. */
  | {
      readonly type: 'queued'
      readonly jobId: JobId
      /** In its model's line, from 1; others may come before it yet. */
      readonly position: number
      /** Until it starts, ms; null while nothing was measured. */
      readonly estimateMs: number | null
    }
  | {
      readonly type: 'refuse'
      readonly jobId: JobId
      readonly error: Failure
    }
  | {
      readonly type: 'load'
      readonly agentId: AgentId
      readonly instanceId: InstanceId
      readonly model: ModelFacts
      /** Its GPUs may not serve. */
      readonly withoutGpu: boolean
    }
  /** The order to load it once more, for an instance that is there: how long it stays may have changed. */
  | {
      readonly type: 'remind'
      readonly agentId: AgentId
      readonly instanceId: InstanceId
      readonly model: ModelFacts
      readonly withoutGpu: boolean
    }
  | { readonly type: 'unload'; readonly agentId: AgentId; readonly instanceId: InstanceId }
  /** To be kept where it outlives the process. */
  | ({ readonly type: 'order' } & OrderChange)
  /** How the agent stands has changed. On `red` its jobs must move. */
  | {
      readonly type: 'standing'
      readonly agentId: AgentId
      readonly standing: AgentStanding
    }
  /** Heartbeats have been missing for so long that the connection is worth nothing. */
  | { readonly type: 'disconnect'; readonly agentId: AgentId }
