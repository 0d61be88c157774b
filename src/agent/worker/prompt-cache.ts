import type { BatchItem, LlamaContextSequence } from 'node-llama-cpp'
import { prioritySaying } from './batch-strategy.ts'
import type { LoadedModel } from './load-model.ts'

type EvaluationOptions = {
  readonly evaluationPriority: BatchItem['evaluationPriority']
  readonly contextShift: { readonly strategy: () => never }
}

/** A full context is noticed before; if the library ever came to shift it, the answer would silently lose its start. */
const neverShift: EvaluationOptions['contextShift'] = {
  strategy: () => {
    throw new Error('the context overflowed')
  },
}

/** What one slot's sequence holds of a job's prompt. */
export class PromptCache {
  readonly sequence: LlamaContextSequence
  /** To be given with every evaluation. */
  readonly options: EvaluationOptions
  readonly #gate: LoadedModel['gate']
  #tokens = 0

  constructor({ sequences, gate }: Pick<LoadedModel, 'sequences' | 'gate'>, slot: number) {
    const sequence = sequences[slot]
    if (sequence === undefined) throw new Error(`there is no slot ${slot}`)
    this.sequence = sequence
    this.options = { evaluationPriority: prioritySaying(slot), contextShift: neverShift }
    this.#gate = gate
  }

  /** Tokens that it holds: from the prompt's start, and behind the prompt of the answer. */
  get tokens(): number {
    return this.#tokens
  }

  /** Drops everything behind the first tokens, which are the prompt's. Keeps none where the model cannot drop a part. */
  async keep(tokens: number): Promise<void> {
    const { sequence } = this
    // With a sliding window or a recurrent state the library computes again what it claims to keep.
    const wanted = sequence.needsCheckpoints ? 0 : tokens
    if (sequence.nextTokenIndex !== wanted)
      await this.#gate.change(() =>
        sequence.eraseContextTokenRanges([{ start: wanted, end: sequence.nextTokenIndex }]),
      )
    if (sequence.nextTokenIndex !== wanted) await this.#gate.change(() => sequence.clearHistory())
    this.#tokens = sequence.nextTokenIndex
  }

  computed(tokens: number): void {
    this.#tokens += tokens
  }
}
