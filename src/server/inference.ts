import type { Instant } from '../clock.ts'
import type { ChatJob, FinishReason } from '../protocol/chat-job.ts'
import type { EmbedJob } from '../protocol/embed-job.ts'
import type { Failure } from '../protocol/errors.ts'
import type { JobId } from '../protocol/ids.ts'
import type { Priority } from '../scheduler/priority.ts'
import type { Segment } from '../protocol/token-frame.ts'
import type { DrawnLogprob } from '../protocol/token-logprobs.ts'

/** One authenticated, validated chat request, ready to be placed. */
export type InferenceRequest = {
  readonly jobId: JobId
  readonly keyId: string
  /** Its class among those that wait; absent: normal. */
  readonly priority?: Priority
  /** Name in the catalogue. */
  readonly model: string
  readonly chat: ChatJob
  readonly receivedAt: Instant
  /** Absent: yes. A further answer to the same prompt, whose tokens the first one counts. */
  readonly promptCounts?: false
}

/** The same for vectors. */
export type EmbedRequest = Omit<InferenceRequest, 'chat'> & {
  readonly embed: EmbedJob
  /** Values that each vector is to be cut to; null: as the model makes them. */
  readonly dimensions: number | null
}

/** The server's own count, never an agent's word. */
export type TokenUsage = {
  readonly promptTokens: number
  readonly completionTokens: number
  /** Prompt tokens that the agent had computed before; absent when no agent said. Informative: nothing is billed by it. */
  readonly cachedTokens?: number
}

/** Every slot is busy, and the request waits; told again when its place has changed. */
export type Queued = {
  readonly type: 'queued'
  /** From 1, among those that wait for the same model. */
  readonly position: number
  /** Until it starts, ms; null while nothing was measured. */
  readonly estimateMs: number | null
}

/** What happens to a request. Exactly one `finished` or `failed` ends it, after its usage is committed. */
export type InferenceEvent =
  | Queued
  | {
      readonly type: 'segments'
      /** None: a token whose text is held back, with its log probability. */
      readonly segments: readonly Segment[]
      /** Of the token that released them. Absent: not asked for, or no token of the answer's text. */
      readonly logprob?: DrawnLogprob
    }
  | { readonly type: 'finished'; readonly reason: FinishReason; readonly usage: TokenUsage }
  | { readonly type: 'failed'; readonly error: Failure; readonly usage: TokenUsage }

/** Exactly one of them ends the request, after its usage is committed. */
export type EmbedEvent =
  /** A vector for every input, in order. */
  | {
      readonly type: 'finished'
      readonly vectors: readonly Float32Array[]
      readonly usage: TokenUsage
    }
  | Extract<InferenceEvent, { type: 'failed' }>

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

  /** The same for vectors: all of them or a failure. */
  submitEmbed(
    request: EmbedRequest,
    onEvent: (event: EmbedEvent) => void,
  ): { readonly cancel: () => void }
}
