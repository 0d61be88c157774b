import type { LlamaContextSequence, LlamaModel, SequenceEvaluateOptions } from 'node-llama-cpp'
import type { ChatJob, Sampling } from '../../protocol/chat-job.ts'
import type { Failure } from '../../protocol/errors.ts'
import type { DrawnLogprob } from '../../protocol/token-logprobs.ts'
import { AnswerGrammar } from './answer-grammar.ts'
import type { ReducerOptions } from './answer-reducer.ts'
import { readingLogits, type DrawnLogits } from './logit-reader.ts'
import type { TokenBytes } from './token-bytes.ts'
import type { PromptCache } from './prompt-cache.ts'
import { tokenOf } from './token-of.ts'
import { tokenSeed } from './token-seed.ts'

/** Draws one answer's tokens, one after another. */
export type Sampler = {
  /** Computes the given tokens and samples the answer's next one. */
  next(
    cache: Pick<PromptCache, 'sequence' | 'options'>,
    tokenIds: readonly number[],
  ): Promise<Drawn>
}

export type Drawn = {
  readonly tokenId: number
  /** Absent: the job does not want it. */
  readonly logprob?: DrawnLogprob
}

export type Beginning = {
  /** Whether the prompt ends inside the model's reasoning. */
  readonly reasoning: ReducerOptions['reasoning']
  /** The answer's tokens so far, from an earlier attempt. */
  readonly replayed: readonly number[]
}

/** @returns a failure when this model cannot be sampled as the job wants it */
export type CreateSampler = (chat: ChatJob, beginning: Beginning) => Promise<Sampler | Failure>

/** @param vocabularyTokens the model's token ids are below this */
export async function loadSampling(
  model: LlamaModel,
  vocabularyTokens: number,
  tokenBytes: TokenBytes,
): Promise<CreateSampler> {
  // Imported late, like openLlama's.
  const { TokenBias } = await import('node-llama-cpp')
  const createGrammar = async (text: string, { reasoning, replayed }: Beginning) => {
    const options = { tokenBytes, afterReasoning: reasoning === 'open' }
    const grammar = await AnswerGrammar.create(model, text, options)
    if ('code' in grammar) return grammar
    for (const tokenId of replayed) if (!grammar.replay(tokenId)) return unfitContinuation
    return grammar
  }
  const textOf = (tokenId: number): Uint8Array => {
    const bytes = tokenBytes(tokenId)
    // Tokens that are no text, as one that ends the turn, go under their name.
    return bytes.length > 0 ? bytes : Buffer.from(model.detokenize([tokenOf(tokenId)], true))
  }
  return async ({ sampling, constraint, topLogprobs }, beginning) => {
    const { logitBias = [] } = sampling
    const refusal = biasRefusal(model, vocabularyTokens, logitBias)
    if (refusal !== null) return refusal
    const tokenBias = TokenBias.for(model)
    for (const { tokenId, bias } of logitBias) tokenBias.set(tokenOf(tokenId), { logit: bias })
    const grammar =
      constraint === undefined ? null : await createGrammar(constraint.grammar, beginning)
    if (grammar !== null && 'code' in grammar) return grammar
    const fixed = logitBias.length > 0 ? { tokenBias } : {}
    const logits = topLogprobs === undefined ? null : new LogitWatch(model, topLogprobs, textOf)
    return new AnswerSampler(sampling, grammar, logits, beginning.replayed, fixed)
  }
}

const unfitContinuation: Failure = {
  code: 'internal',
  message: 'the tokens of the attempt before do not fit the grammar',
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

/** Reads one answer's logits beside its draws. */
class LogitWatch {
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

class AnswerSampler implements Sampler {
  readonly #sampling: Sampling
  readonly #grammar: AnswerGrammar | null
  readonly #logits: LogitWatch | null
  readonly #answer: number[]
  readonly #options: SequenceEvaluateOptions

  constructor(
    sampling: Sampling,
    grammar: AnswerGrammar | null,
    logits: LogitWatch | null,
    replayed: readonly number[],
    fixed: SequenceEvaluateOptions,
  ) {
    this.#sampling = sampling
    this.#grammar = grammar
    this.#logits = logits
    this.#answer = [...replayed]
    const { temperature, topP, topK = 0, minP = 0 } = sampling
    // Every option is named: left out, the library would take the 40 best (top_k), 95 % of the mass (top_p).
    this.#options = { ...fixed, temperature, topP, topK, minP, yieldEogToken: true }
  }

  async next(
    { sequence, options }: Pick<PromptCache, 'sequence' | 'options'>,
    tokenIds: readonly number[],
  ): Promise<Drawn> {
    const drawFrom = this.#logits?.over(sequence) ?? sequence
    const iterator = drawFrom.evaluate(tokenIds.map(tokenOf), {
      ...options,
      ...this.#options,
      ...this.#penalties(),
      ...this.#grammarState(),
      // Left out, the library would take the clock.
      seed: tokenSeed(this.#sampling.seed, this.#answer.length),
    })
    const { value } = await iterator.next()
    await iterator.return()
    if (value === undefined) throw new Error('no token came')
    this.#answer.push(value)
    this.#grammar?.drawn(value)
    return this.#logits === null
      ? { tokenId: value }
      : { tokenId: value, logprob: this.#logits.logprob }
  }

  #grammarState(): SequenceEvaluateOptions {
    const state = this.#grammar?.state
    return state === undefined ? {} : { grammarEvaluationState: state }
  }

  #penalties(): SequenceEvaluateOptions {
    const { frequencyPenalty = 0, presencePenalty = 0, repetitionPenalty = 1 } = this.#sampling
    if (frequencyPenalty === 0 && presencePenalty === 0 && repetitionPenalty === 1) return {}
    const punishTokens = this.#answer.slice(-penaltyWindowTokens).map(tokenOf)
    const penalty = repetitionPenalty
    return { repeatPenalty: { punishTokens, penalty, frequencyPenalty, presencePenalty } }
  }
}
