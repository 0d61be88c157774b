import type { Continuation, FinishReason } from '../../protocol/chat-job.ts'
import type { Failure } from '../../protocol/errors.ts'
import type { AgentId, InstanceId } from '../../protocol/ids.ts'
import type { Segment } from '../../protocol/token-frame.ts'
import type { DrawnLogprob } from '../../protocol/token-logprobs.ts'
import type { TokenUsage } from '../inference.ts'

/** What a relay wants done; the dispatcher performs it. */
export type RelayCommand =
  | {
      readonly type: 'assign'
      readonly agentId: AgentId
      readonly instanceId: InstanceId
      readonly attempt: number
      readonly continuation: Continuation | null
    }
  | { readonly type: 'cancel'; readonly agentId: AgentId; readonly attempt: number }
  | {
      readonly type: 'deliver'
      readonly segments: readonly Segment[]
      readonly logprob?: DrawnLogprob
    }
  | SeekStandby
  /** How long an agent took for the first token of the answer, or has taken by now without one. */
  | { readonly type: 'began'; readonly agentId: AgentId; readonly afterMs: number }
  /** One of two racing attempts is over, the other one goes on; null: it did nothing wrong. */
  | { readonly type: 'drop'; readonly agentId: AgentId; readonly error: Failure | null }
  /** Ask the scheduler for an agent again; the error is what the former one did. */
  | { readonly type: 'retry'; readonly error: Failure; readonly agentId: AgentId }
  /** The end; the scheduler's leases are to be released, usage to be committed, then the client told. */
  | { readonly type: 'finish'; readonly reason: FinishReason; readonly usage: TokenUsage }
  | {
      readonly type: 'fail'
      readonly error: Failure
      readonly usage: TokenUsage
      /** The agent whose attempt ended like that; null: no agent was at work. */
      readonly agentId: AgentId | null
    }
  /** The client is gone: release and settle, tell nobody. */
  | { readonly type: 'abandon'; readonly usage: TokenUsage }

/** The agent is late. Whoever has the model in memory and a slot free may race it; nobody is fine too. */
export type SeekStandby = {
  readonly type: 'seek_standby'
  readonly agentId: AgentId
  /**
   * `stalled`: in mid-answer, by the stream's own pace; `slow_start`: before the first token, by the agent's history;
   * `silent`: the agent answers nothing.
   */
  readonly reason: 'stalled' | 'slow_start' | 'silent'
  /** It was asked for before in this silence. */
  readonly again: boolean
}
