import type { Llama, LlamaGrammarEvaluationState } from 'node-llama-cpp'
import { property } from './native-sampling.ts'

/**
 * Advances a grammar's state by a token that an earlier attempt drew, as the library does itself with each token that it
 * draws. It has no public way to, so this reaches into it; everything is looked at first, and replay-grammar.test.ts fails
 * when a new version moved it.
 * @returns false when the grammar does not allow the token there
 * @throws when the library is not as it was
 */
export function replayGrammarToken(
  llama: Llama,
  state: LlamaGrammarEvaluationState,
  tokenId: number,
): boolean {
  const sampler = property(property(llama, '_bindings'), 'AddonSampler')
  const native = property(state, '_state')
  const isNext = property(sampler, 'canBeNextTokenForGrammarEvaluationState')
  const accept = property(sampler, 'acceptGrammarEvaluationStateToken')
  if (typeof isNext !== 'function' || typeof accept !== 'function' || native === undefined)
    throw new Error('node-llama-cpp cannot replay a grammar any more; see replay-grammar.ts')
  if (Reflect.apply(isNext, sampler, [native, tokenId]) !== true) return false
  Reflect.apply(accept, sampler, [native, tokenId])
  return true
}
