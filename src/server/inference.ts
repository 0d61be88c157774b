import type { Instant } from '../clock.ts'
import type { ChatJob, FinishReason } from '../protocol/chat-job.ts'
import type { Failure } from '../protocol/errors.ts'
import type { JobId } from '../protocol/ids.ts'
import type { Segment } from '../protocol/token-frame.ts'

/** One authenticated, validated chat request, ready to be placed. */
export type InferenceRequest = {
  readonly jobId: JobId
  readonly keyId: string
  /** Name in the catalogue. */
  readonly model: string
  readonly chat: ChatJob
  readonly receivedAt: Instant
}

/** The server's own count, never an agent's word. */
export type TokenUsage = {
  readonly promptTokens: number
  readonly completionTokens: number
  /** Prompt tokens that the agent had computed before; absent when no agent said. Informative: nothing is billed by it. */
  readonly cachedTokens?: number
}

/** What happens to a request. Exactly one `finished` or `failed` ends it, after its usage is committed. */
export type InferenceEvent =
  | { readonly type: 'segments'; readonly segments: readonly Segment[] }
  | { readonly type: 'finished'; readonly reason: FinishReason; readonly usage: TokenUsage }
  | { readonly type: 'failed'; readonly error: Failure; readonly usage: TokenUsage }

/**
 * The way from the API into the pool, and the only one. Behind it lies the in-process relay today; nothing in front of
 * it may assume that the agent's socket lives in this process.
 */
export type Inference = {
  /**
   * Places the request. `onEvent` is called synchronously as things happen and must not throw.
   * @returns `cancel`: the client is gone; frees the slot at once, and no event follows. May be called at any time.
   */
  submit(
    request: InferenceRequest,
    onEvent: (event: InferenceEvent) => void,
  ): { readonly cancel: () => void }
}
