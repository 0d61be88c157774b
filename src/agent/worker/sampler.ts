import type { LlamaContextSequence, LlamaModel, SequenceEvaluateOptions } from 'node-llama-cpp'
import type { ChatJob, Sampling } from '../../protocol/chat-job.ts'
import type { Failure } from '../../protocol/errors.ts'
import { tokenOf } from './token-of.ts'
import { tokenSeed } from './token-seed.ts'

/** Draws one answer's tokens, one after another. */
export type Sampler = {
  /** Computes the given tokens and samples the answer's next one. */
  next(sequence: LlamaContextSequence, tokenIds: readonly number[]): Promise<number>
}

/**
 * @param replayed the answer's tokens so far, from an earlier attempt
 * @returns a failure when this model cannot be sampled like that
 */
export type CreateSampler = (chat: ChatJob, replayed: readonly number[]) => Sampler | Failure

/** A full context is noticed before; if the library ever came to shift it, the answer would silently lose its start. */
export const neverShift = {
  contextShift: {
    strategy: (): never => {
      throw new Error('the context overflowed')
    },
  },
}

/** @param vocabularyTokens the model's token ids are below this */
export async function loadSampling(
  model: LlamaModel,
  vocabularyTokens: number,
): Promise<CreateSampler> {
  // Imported late, like openLlama's.
  const { TokenBias } = await import('node-llama-cpp')
  return ({ sampling }, replayed) => {
    const { logitBias = [] } = sampling
    const refusal = biasRefusal(model, vocabularyTokens, logitBias)
    if (refusal !== null) return refusal
    const tokenBias = TokenBias.for(model)
    for (const { tokenId, bias } of logitBias) tokenBias.set(tokenOf(tokenId), { logit: bias })
    return new AnswerSampler(sampling, replayed, logitBias.length > 0 ? { tokenBias } : {})
  }
}

function biasRefusal(
  model: LlamaModel,
  vocabularyTokens: number,
  logitBias: NonNullable<Sampling['logitBias']>,
): Failure | null {
  for (const { tokenId } of logitBias) {
    if (tokenId >= vocabularyTokens)
      return {
        code: 'invalid_request',
        message: `logit_bias names token ${tokenId}; the model has tokens 0 to ${vocabularyTokens - 1}`,
      }
    // The library leaves these out silently.
    if (model.isEogToken(tokenOf(tokenId)))
      return {
        code: 'unsupported',
        message: `logit_bias names token ${tokenId}, which ends a turn; such tokens cannot be biased`,
      }
  }
  return null
}

/**
 * Penalties look at so many of the answer's last tokens: each sample counts them anew, and the cost must not grow with an
 * answer of a million.
 */
const penaltyWindowTokens = 4_096

class AnswerSampler implements Sampler {
  readonly #sampling: Sampling
  readonly #answer: number[]
  readonly #options: SequenceEvaluateOptions

  constructor(sampling: Sampling, replayed: readonly number[], fixed: SequenceEvaluateOptions) {
    this.#sampling = sampling
    this.#answer = [...replayed]
    const { temperature, topP, topK = 0, minP = 0 } = sampling
    // Every option is named: left out, the library would take the 40 best (top_k), 95 % of the mass (top_p).
    this.#options = { ...neverShift, ...fixed, temperature, topP, topK, minP, yieldEogToken: true }
  }

  async next(sequence: LlamaContextSequence, tokenIds: readonly number[]): Promise<number> {
    const iterator = sequence.evaluate(tokenIds.map(tokenOf), {
      ...this.#options,
      ...this.#penalties(),
      // Left out, the library would take the clock.
      seed: tokenSeed(this.#sampling.seed, this.#answer.length),
    })
    const { value } = await iterator.next()
    await iterator.return()
    if (value === undefined) throw new Error('no token came')
    this.#answer.push(value)
    return value
  }

  #penalties(): SequenceEvaluateOptions {
    const { frequencyPenalty = 0, presencePenalty = 0, repetitionPenalty = 1 } = this.#sampling
    if (frequencyPenalty === 0 && presencePenalty === 0 && repetitionPenalty === 1) return {}
    const punishTokens = this.#answer.slice(-penaltyWindowTokens).map(tokenOf)
    const penalty = repetitionPenalty
    return { repeatPenalty: { punishTokens, penalty, frequencyPenalty, presencePenalty } }
  }
}
