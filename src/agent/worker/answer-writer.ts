import { encodeTokenFrame, type Segment } from '../../protocol/token-frame.ts'
import type { DrawnLogprob } from '../../protocol/token-logprobs.ts'
import { AnswerReducer, type ReducerOptions } from './answer-reducer.ts'
import { cutDelivered } from './delivered-cut.ts'
import type { TokenBytes } from './token-bytes.ts'

export type AnswerWriterOptions = {
  readonly stream: number
  readonly attempt: number
  readonly reducer: ReducerOptions
  readonly tokenBytes: TokenBytes
  readonly isEndOfTurn: (tokenId: number) => boolean
  readonly sendTokenFrame: (frame: Uint8Array) => void
}

const noSegments: readonly Segment[] = []

/** Counts the tokens of one answer, reduces them to text and sends each as a frame. */
export class AnswerWriter {
  readonly #options: AnswerWriterOptions
  readonly #reducer: AnswerReducer
  #tokens = 0
  #ended = false

  constructor(options: AnswerWriterOptions) {
    this.#options = options
    this.#reducer = new AnswerReducer(options.reducer)
  }

  /** Tokens of the answer so far, replayed ones included. */
  get tokens(): number {
    return this.#tokens
  }

  /** Null while the answer goes on; else why the model or a stop string ended it. */
  get ended(): 'stop' | 'tool_calls' | null {
    return this.#ended || this.#reducer.stopped ? this.#reducer.finishReason : null
  }

  /**
   * A token was sampled: sends its frame.
   * @param logprob goes with it when the token is part of the answer's text, as far as that is known yet
   */
  accept(tokenId: number, logprob?: DrawnLogprob): void {
    const index = this.#tokens
    const wasReasoning = this.#reducer.isReasoning
    const segments = this.#reduce(tokenId)
    const isText = !this.#ended && this.#options.tokenBytes(tokenId).length > 0
    const isListed =
      logprob !== undefined && isText && !wasReasoning && !this.#reducer.isBeforeAnswer
    this.#send(index, tokenId, segments, isListed ? logprob : undefined)
  }

  /** The answer is complete: sends what was held back. */
  finish(): void {
    this.#sendText(this.#reducer.flush())
  }

  /**
   * Takes over the tokens of an earlier attempt and sends only the text that the client does not have.
   * @param isComplete asked after the last token: whether the answer ends there, so that held text is due as well
   * @returns false when the client has text that these tokens do not give
   */
  replay(tokenIds: readonly number[], deliveredBytes: number, isComplete: () => boolean): boolean {
    const segments: Segment[] = []
    for (const tokenId of tokenIds) {
      if (this.ended !== null) return false
      segments.push(...this.#reduce(tokenId))
    }
    if (isComplete()) segments.push(...this.#reducer.flush())
    const rest = cutDelivered(segments, deliveredBytes)
    if (rest === null) return false
    this.#sendText(rest)
    return true
  }

  #reduce(tokenId: number): readonly Segment[] {
    this.#tokens++
    if (!this.#options.isEndOfTurn(tokenId))
      return this.#reducer.push(this.#options.tokenBytes(tokenId))
    this.#ended = true
    return noSegments
  }

  #sendText(segments: readonly Segment[]): void {
    if (segments.length > 0) this.#send(this.#tokens, null, segments)
  }

  #send(
    index: number,
    tokenId: number | null,
    segments: readonly Segment[],
    logprob?: DrawnLogprob,
  ): void {
    const { stream, attempt, sendTokenFrame } = this.#options
    const frame = { stream, attempt, choice: 0, index, tokenId, segments }
    sendTokenFrame(encodeTokenFrame(logprob === undefined ? frame : { ...frame, logprob }))
  }
}
