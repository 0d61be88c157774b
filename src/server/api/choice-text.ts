import type { FinishReason } from '../../protocol/chat-job.ts'
import type { Segment } from '../../protocol/token-frame.ts'
import type { ApiFailure } from '../http-error.ts'
import type { InferenceEvent } from '../inference.ts'
import { WaitingLogprobs } from './answer-logprobs.ts'
import type { ChatChunkWriter } from './chat-chunk-writer.ts'

/** What a client gets of one streamed answer: the role first, then its parts, then its end. */
export class ChoiceText {
  readonly #writer: ChatChunkWriter
  /** Null: none has come. */
  #logprobs: WaitingLogprobs | null = null
  #roleWritten = false

  constructor(writer: ChatChunkWriter) {
    this.#writer = writer
  }

  /** @returns the chunks of all segments in one text, '' for none; or why there can be no more */
  segments({
    segments,
    logprob,
  }: Extract<InferenceEvent, { type: 'segments' }>): string | ApiFailure {
    if (logprob !== undefined) {
      this.#logprobs ??= new WaitingLogprobs()
      const failure = this.#logprobs.add(logprob)
      if (failure !== null) return failure
    }
    if (segments.length === 0) return ''
    let text = this.#role(segments[0])
    for (const segment of segments) {
      const chunk = this.#writer.segment(segment, this.#logprobs?.take(segment.kind))
      if (chunk === null) return { code: 'internal', message: 'A tool call came in a wrong form.' }
      text += chunk
    }
    return text
  }

  finish(reason: FinishReason): string {
    return this.#role() + this.#writer.finish(reason)
  }

  /** The first chunk, once. */
  #role(first?: Segment): string {
    if (this.#roleWritten) return ''
    this.#roleWritten = true
    return this.#writer.role(first)
  }
}
