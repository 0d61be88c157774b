import type { LlamaModel, SequenceEvaluateOptions, Token } from 'node-llama-cpp'
import type { TokenizerFacts } from '../../models/gguf-facts.ts'
import type { ChatJob, Sampling } from '../../protocol/chat-job.ts'
import type { Failure } from '../../protocol/errors.ts'
import type { DrawnLogprob } from '../../protocol/token-logprobs.ts'
import { AnswerGrammar } from './answer-grammar.ts'
import type { ReducerOptions } from './answer-reducer.ts'
import { GrammarGuard } from './grammar-guard.ts'
import { LogitWatch } from './logit-watch.ts'
import { silentTokens, type TokenBytes } from './token-bytes.ts'
import type { PromptCache } from './prompt-cache.ts'
import { tokenOf } from './token-of.ts'
import { tokenSeed } from './token-seed.ts'

/** Draws one answer's tokens, one after another. */
export type Sampler = {
  /** Computes the given tokens and samples the answer's next one. @returns a failure when the grammar has none */
  next(
    cache: Pick<PromptCache, 'sequence' | 'options'>,
    tokenIds: readonly number[],
  ): Promise<Drawn | Failure>
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
  /** Called in the middle of a sample that the grammar makes far too long. */
  readonly onStuck: (error: Failure) => void
}

/** @returns a failure when this model cannot be sampled as the job wants it */
export type CreateSampler = (chat: ChatJob, beginning: Beginning) => Promise<Sampler | Failure>

/** @param vocabulary the model's, from its file */
export async function loadSampling(
  model: LlamaModel,
  vocabulary: TokenizerFacts,
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
  const silent = silentTokens(vocabulary)
  const textOf = (tokenId: number): Uint8Array => {
    const bytes = tokenBytes(tokenId)
    // Tokens that are no text, as one that ends the turn, go under their name.
    return bytes.length > 0 ? bytes : Buffer.from(model.detokenize([tokenOf(tokenId)], true))
  }
  return async ({ sampling, constraint, topLogprobs }, beginning) => {
    const { logitBias = [] } = sampling
    const refusal = biasRefusal(model, vocabulary.tokens.length, logitBias)
    if (refusal !== null) return refusal
    const biasesWith = (banned: readonly number[]): SequenceEvaluateOptions => {
      const tokenBias = TokenBias.for(model)
      for (const { tokenId, bias } of logitBias) tokenBias.set(tokenOf(tokenId), { logit: bias })
      for (const tokenId of banned) tokenBias.set(tokenOf(tokenId), 'never')
      return { tokenBias }
    }
    const grammar =
      constraint === undefined ? null : await createGrammar(constraint.grammar, beginning)
    if (grammar !== null && 'code' in grammar) return grammar
    const logits = topLogprobs === undefined ? null : new LogitWatch(model, topLogprobs, textOf)
    return new AnswerSampler(sampling, {
      replayed: beginning.replayed,
      logits,
      grammar,
      guard: grammar === null ? null : new GrammarGuard(beginning.onStuck),
      free: logitBias.length > 0 ? biasesWith([]) : {},
      // llama.cpp takes their names for their text: a grammar would be kept by what nobody sees.
      held: grammar === null ? {} : biasesWith(silent),
    })
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

type AnswerParts = {
  readonly replayed: readonly number[]
  readonly logits: LogitWatch | null
  readonly grammar: AnswerGrammar | null
  readonly guard: GrammarGuard | null
  /** Biases while no grammar holds. */
  readonly free: SequenceEvaluateOptions
  /** And while one does. */
  readonly held: SequenceEvaluateOptions
}

class AnswerSampler implements Sampler {
  readonly #sampling: Sampling
  readonly #parts: AnswerParts
  readonly #answer: number[]
  readonly #options: SequenceEvaluateOptions

  constructor(sampling: Sampling, parts: AnswerParts) {
    this.#sampling = sampling
    this.#parts = parts
    this.#answer = [...parts.replayed]
    const { temperature, topP, topK = 0, minP = 0 } = sampling
    // Every option is named: left out, the library would take the 40 best (top_k), 95 % of the mass (top_p).
    this.#options = { temperature, topP, topK, minP, yieldEogToken: true }
  }

  async next(
    { sequence, options }: Pick<PromptCache, 'sequence' | 'options'>,
    tokenIds: readonly number[],
  ): Promise<Drawn | Failure> {
    const { logits, grammar, guard } = this.#parts
    const guarded = guard?.over(sequence) ?? sequence
    const drawFrom = logits?.over(guarded) ?? guarded
    const iterator = drawFrom.evaluate(tokenIds.map(tokenOf), {
      ...options,
      ...this.#options,
      ...this.#penalties(),
      ...this.#hold(),
      // Left out, the library would take the clock.
      seed: tokenSeed(this.#sampling.seed, this.#answer.length),
    })
    const value = await drawn(iterator, guard)
    if (typeof value !== 'number') return value
    this.#answer.push(value)
    grammar?.drawn(value)
    return logits === null ? { tokenId: value } : { tokenId: value, logprob: logits.logprob }
  }

  #hold(): SequenceEvaluateOptions {
    const { grammar, free, held } = this.#parts
    const state = grammar?.state
    return state === undefined ? free : { ...held, grammarEvaluationState: state }
  }

  #penalties(): SequenceEvaluateOptions {
    const { frequencyPenalty = 0, presencePenalty = 0, repetitionPenalty = 1 } = this.#sampling
    if (frequencyPenalty === 0 && presencePenalty === 0 && repetitionPenalty === 1) return {}
    const punishTokens = this.#answer.slice(-penaltyWindowTokens).map(tokenOf)
    const penalty = repetitionPenalty
    return { repeatPenalty: { punishTokens, penalty, frequencyPenalty, presencePenalty } }
  }
}

async function drawn(
  iterator: AsyncGenerator<Token, void>,
  guard: GrammarGuard | null,
): Promise<Token | Failure> {
  try {
    const { value } = await iterator.next()
    await iterator.return()
    if (value === undefined) throw new Error('no token came')
    return value
  } catch (error) {
    const fault = guard?.fault ?? null
    if (fault === null) throw error
    return fault
  }
}
