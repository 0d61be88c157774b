import { limits } from '../../protocol/limits.ts'
import { encodeTokenFrame, type Segment } from '../../protocol/token-frame.ts'

/** Text that may come behind the last token that was asked for; an engine that goes on beyond it does not count. */
const overrunBytesMax = 4_096

export type AnswerFramesOptions = {
  readonly stream: number
  readonly attempt: number
  /** Of the job; null: no limit of its own. */
  readonly maxTokens: number | null
  readonly send: (frame: Uint8Array<ArrayBuffer>) => void
}

/**
 * Makes frames of an answer whose token ids nobody tells: each piece of text that the engine sends counts as one token.
 * That is what engines do (one event a token), and where one puts several tokens into an event, or one into two, the
 * count is that of the pieces. A frame has room for every piece (sse-reader.ts).
 */
export class AnswerFrames {
  readonly #options: AnswerFramesOptions
  readonly #held: Segment[] = []
  #heldBytes = 0
  #tokens = 0

  constructor(options: AnswerFramesOptions) {
    this.#options = options
  }

  get tokens(): number {
    return this.#tokens
  }

  /** @returns false: there is more than was asked for, and the answer is to end here */
  push(segments: readonly Segment[]): boolean {
    if (this.#tokens < (this.#options.maxTokens ?? limits.outputTokensMax)) {
      this.#send('unknown', segments)
      this.#tokens++
      return true
    }
    // One token can come as two pieces (the end of the reasoning, the beginning of a call); the server would refuse it
    // as one token too many, so it goes as text at the end.
    for (const { text } of segments) this.#heldBytes += Buffer.byteLength(text)
    if (this.#heldBytes > overrunBytesMax) {
      this.#held.length = 0
      return false
    }
    this.#held.push(...segments)
    return true
  }

  /** The answer is complete. */
  finish(): void {
    if (this.#held.length > 0) this.#send(null, this.#held)
  }

  #send(tokenId: 'unknown' | null, segments: readonly Segment[]): void {
    const { stream, attempt, send } = this.#options
    send(encodeTokenFrame({ stream, attempt, choice: 0, index: this.#tokens, tokenId, segments }))
  }
}
