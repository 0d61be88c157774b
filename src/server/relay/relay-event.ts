import type { FinishReason } from '../../protocol/chat-job.ts'
import type { Failure } from '../../protocol/errors.ts'
import type { AgentId, InstanceId } from '../../protocol/ids.ts'
import type { TokenFrame } from '../../protocol/token-frame.ts'
import type { VectorFrame } from '../../protocol/vector-frame.ts'

/** What happens to a request on its way through the pool. */
export type RelayEvent =
  /** The scheduler has found an agent. `ready`: the model is in memory there, so it can begin at once. */
  | {
      readonly type: 'leased'
      /** Tokens that a slot holds, prompt and answer together; an agent that counts more is wrong. */
      readonly contextTokens: number
      readonly agentId: AgentId
      readonly instanceId: InstanceId
      readonly ready: boolean
      /** A second agent may race this one when nothing has come after so long; null: none does, but who asks wants to learn. */
      readonly hedgeAfterMs?: number | null | undefined
    }
  /** A second agent that has the model in memory, as asked for by `seek_standby`. */
  | {
      readonly type: 'standby'
      readonly contextTokens: number
      readonly agentId: AgentId
      readonly instanceId: InstanceId
    }
  /** The attempt's instance is still being fetched or loaded, and gets on. */
  | { readonly type: 'loading'; readonly attempt: number }
  /** The scheduler has found none. */
  | { readonly type: 'refused'; readonly error: Failure }
  | Started
  | TokenFrame
  | VectorFrame
  | {
      readonly type: 'finished'
      readonly attempt: number
      readonly reason: FinishReason
      readonly tokens: number
    }
  | { readonly type: 'failed'; readonly attempt: number; readonly error: Failure }
  /** The connection of the attempt's agent is gone, or the agent looks dead. */
  | { readonly type: 'agent_lost'; readonly attempt: number }
  /** It does not answer, and nobody knows why: the connection is still there. */
  | { readonly type: 'agent_silent'; readonly attempt: number }
  | { readonly type: 'client_gone' }
  | { readonly type: 'tick' }

export type Started = {
  readonly type: 'started'
  readonly attempt: number
  readonly promptTokens: number | null
  readonly promptSha256: string | null
  readonly cachedTokens?: number
}
