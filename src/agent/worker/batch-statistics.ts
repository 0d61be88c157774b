import { Type, type Static } from 'typebox'

const Count = Type.Integer({ minimum: 0 })

/** What the batches of a worker held, since its start. */
export const BatchStatisticsSchema = Type.Object({
  /** Passes through the model for one token of streams that are at their answers. */
  answerPasses: Count,
  answerTokens: Count,
  /** Tokens that these passes would have made had each held every stream that was at its answer. */
  answerTokensIfFull: Count,
  /** Batches of prompts, and of answers that are computed again to continue them. */
  promptBatches: Count,
  promptTokens: Count,
})
export type BatchStatistics = Static<typeof BatchStatisticsSchema>

/** A few additions a batch. */
export class BatchCounter {
  #counts = {
    answerPasses: 0,
    answerTokens: 0,
    answerTokensIfFull: 0,
    promptBatches: 0,
    promptTokens: 0,
  }

  get statistics(): BatchStatistics {
    return { ...this.#counts }
  }

  answers(tokens: number, ifFull: number, passes: number): void {
    this.#counts.answerPasses += passes
    this.#counts.answerTokens += tokens
    this.#counts.answerTokensIfFull += passes * Math.max(tokens, ifFull)
  }

  prompts(tokens: number): void {
    this.#counts.promptBatches++
    this.#counts.promptTokens += tokens
  }
}
