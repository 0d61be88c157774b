import type { LlamaGrammarEvaluationState, LlamaModel } from 'node-llama-cpp'
import type { Failure } from '../../protocol/errors.ts'
import { replayGrammarToken } from './replay-grammar.ts'
import { textMarkers } from './text-markers.ts'
import type { TokenBytes } from './token-bytes.ts'

/**
 * The grammar of one answer. Where the prompt ends inside the model's reasoning, the reasoning is free and the grammar
 * begins with the first token behind its end.
 */
export class AnswerGrammar {
  readonly #model: LlamaModel
  readonly #tokenBytes: TokenBytes
  readonly #state: LlamaGrammarEvaluationState
  /** The end of the reasoning's text as far as a marker may begin in it; null: the grammar has begun. */
  #reasoning: string | null

  /** @returns a failure when llama.cpp refuses the grammar */
  static async create(
    model: LlamaModel,
    grammar: string,
    options: { readonly tokenBytes: TokenBytes; readonly afterReasoning: boolean },
  ): Promise<AnswerGrammar | Failure> {
    // Imported late, like openLlama's.
    const { LlamaGrammarEvaluationState } = await import('node-llama-cpp')
    try {
      const parsed = await model.llama.createGrammar({ grammar })
      const state = new LlamaGrammarEvaluationState({ model, grammar: parsed })
      return new AnswerGrammar(model, state, options)
    } catch (error) {
      // The library's reason is in the error; its text may be the grammar's, which is the client's.
      if (!(error instanceof Error)) throw error
      return {
        code: 'invalid_request',
        message:
          'llama.cpp cannot use the grammar (an undefined rule, left recursion or too many repetitions)',
      }
    }
  }

  private constructor(
    model: LlamaModel,
    state: LlamaGrammarEvaluationState,
    { tokenBytes, afterReasoning }: { tokenBytes: TokenBytes; afterReasoning: boolean },
  ) {
    this.#model = model
    this.#state = state
    this.#tokenBytes = tokenBytes
    this.#reasoning = afterReasoning ? '' : null
  }

  /** For the next sample; undefined while the reasoning goes on. The library advances it by what it draws. */
  get state(): LlamaGrammarEvaluationState | undefined {
    return this.#reasoning === null ? this.#state : undefined
  }

  /** A token was drawn. */
  drawn(tokenId: number): void {
    if (this.#reasoning === null) return
    const text = this.#reasoning + Buffer.from(this.#tokenBytes(tokenId)).toString('latin1')
    const { reasoningClose } = textMarkers
    this.#reasoning = text.includes(reasoningClose) ? null : text.slice(1 - reasoningClose.length)
  }

  /** A token of an earlier attempt. @returns false when the grammar does not allow it */
  replay(tokenId: number): boolean {
    if (this.#reasoning !== null) {
      this.drawn(tokenId)
      return true
    }
    return replayGrammarToken(this.#model.llama, this.#state, tokenId)
  }
}
