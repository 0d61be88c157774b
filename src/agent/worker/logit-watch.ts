import type { LlamaContextSequence, LlamaModel } from 'node-llama-cpp'
import type { DrawnLogprob } from '../../protocol/token-logprobs.ts'
import { readingLogits, type DrawnLogits } from './logit-reader.ts'

/** Reads one answer's logits beside its draws. */
export class LogitWatch {
  readonly #model: LlamaModel
  readonly #top: number
  readonly #textOf: (tokenId: number) => Uint8Array
  #view: LlamaContextSequence | null = null
  #drawn: DrawnLogits | null = null

  constructor(model: LlamaModel, top: number, textOf: (tokenId: number) => Uint8Array) {
    this.#model = model
    this.#top = top
    this.#textOf = textOf
  }

  /** The answer's sequence, watched. */
  over(sequence: LlamaContextSequence): LlamaContextSequence {
    this.#view ??= readingLogits(sequence, this.#model, this.#top, drawn => {
      this.#drawn = drawn
    })
    return this.#view
  }

  /** Of the last draw. */
  get logprob(): DrawnLogprob {
    if (this.#drawn === null) throw new Error('no logits came with the token')
    const { tokenId, logprob, top } = this.#drawn
    const bytes = this.#textOf(tokenId)
    const others = top.map(other => ({
      logprob: other.logprob,
      bytes: this.#textOf(other.tokenId),
    }))
    return { logprob, bytes, top: others }
  }
}
