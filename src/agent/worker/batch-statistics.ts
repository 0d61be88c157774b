import { Type, type Static } from 'typebox'

const Count = Type.Integer({ minimum: 0 })

/** What the batches of a worker held, since its start. */
export const BatchStatisticsSchema = Type.Object({
  /** Batches of one token for each stream that is at its answer. */
  answerBatches: Count,
  answerTokens: Count,
  /** Tokens that these batches would have held with every stream that was at its answer. */
  answerTokensIfFull: Count,
  /** Batches of prompts, and of answers that are computed again to continue them. */
  promptBatches: Count,
  promptTokens: Count,
})
export type BatchStatistics = Static<typeof BatchStatisticsSchema>

/** A few additions a batch. */
export class BatchCounter {
  #counts = {
    answerBatches: 0,
    answerTokens: 0,
    answerTokensIfFull: 0,
    promptBatches: 0,
    promptTokens: 0,
  }

  get statistics(): BatchStatistics {
    return { ...this.#counts }
  }

  answers(tokens: number, ifFull: number): void {
    this.#counts.answerBatches++
    this.#counts.answerTokens += tokens
    this.#counts.answerTokensIfFull += Math.max(tokens, ifFull)
  }

  prompts(tokens: number): void {
    this.#counts.promptBatches++
    this.#counts.promptTokens += tokens
  }
}
