import type { LlamaContextSequence, LlamaModel } from 'node-llama-cpp'
import { property, samplingThrough } from './native-sampling.ts'

/** What the model itself said at one place of an answer, before anything that a job asks for changed it. */
export type DrawnLogits = {
  readonly tokenId: number
  /** Natural logarithm of the drawn token's probability. */
  readonly logprob: number
  /** The likeliest tokens in its place, likeliest first. */
  readonly top: readonly { readonly tokenId: number; readonly logprob: number }[]
}

/** A probability that is nothing to a 32-bit number is this; OpenAI's answers have the same number for it. */
const logprobMin = -9_999

/**
 * A view of a sequence that samples as the sequence does and reads the model's own logits behind each draw. The library
 * tells probabilities after sampling, or logits instead of sampling, never both of one computation. So this stands where the
 * library's sequence calls the native context, and samples twice more from what was computed, greedily and by the
 * likeliest: neither changes a logit.
 * @param top how many of the likeliest tokens are read as well
 * @throws when the library is not as it was
 */
export function readingLogits(
  sequence: LlamaContextSequence,
  model: LlamaModel,
  top: number,
  onDraw: (drawn: DrawnLogits) => void,
): LlamaContextSequence {
  const samplers = property(property(model.llama, '_bindings'), 'AddonSampler')
  if (typeof samplers !== 'function')
    throw new Error('node-llama-cpp’s logits cannot be read any more; see logit-reader.ts')
  return samplingThrough(sequence, sample => async (at, sampler, ...further) => {
    const tokenId: unknown = await sample(at, sampler, ...further)
    // What ended without a token is the library's to tell.
    if (typeof tokenId !== 'number' || tokenId < 0) return tokenId
    const own: OwnSample = (config, ...wanted) =>
      sampleOnce(samplers, model, config, chosen => sample(at, chosen, false, false, ...wanted))
    onDraw(await readLogits(own, tokenId, top))
    return tokenId
  })
}

/** Samples with a sampler of its own. @returns what the native side tells: [id, probabilities, confidence, logits, weight] */
type OwnSample = (config: object, ...wanted: unknown[]) => Promise<unknown>

async function readLogits(sample: OwnSample, tokenId: number, top: number): Promise<DrawnLogits> {
  // The greedy token is the likeliest one, and weights are told relative to it.
  const drawnAndLikeliest = [[tokenId], false, false, true, 0]
  const told = await sample({ temperature: 0 }, drawnAndLikeliest, true)
  const logits = pairsOf(property(told, '3'))
  const weight = property(told, '4')
  const logit = logits.find(pair => pair.tokenId === tokenId)?.logit
  if (logit === undefined || typeof weight !== 'number')
    throw new Error('node-llama-cpp told no logits; see logit-reader.ts')
  const base = Math.max(...logits.map(pair => pair.logit)) + Math.log(weight)
  const logprobOf = (value: number) => Math.min(0, Math.max(logprobMin, value - base))
  // Among equals the sampler below may take another one than the draw; both say the truth.
  const likeliest =
    top === 0 ? [] : pairsOf(property(await sample({ ...untouched, topK: top }, true), '3'))
  return {
    tokenId,
    logprob: logprobOf(logit),
    top: likeliest.map(pair => ({ tokenId: pair.tokenId, logprob: logprobOf(pair.logit) })),
  }
}

/** At this temperature logits stay as they are, and the likeliest come without sorting the whole vocabulary. */
const untouched = { temperature: 1, topP: 1, minP: 0, seed: 0 }

async function sampleOnce(
  samplers: object,
  model: LlamaModel,
  config: object,
  sample: (sampler: unknown) => unknown,
): Promise<unknown> {
  const sampler: unknown = Reflect.construct(samplers as new () => object, [
    property(model, '_model'),
  ])
  try {
    call(sampler, 'applyConfig', config)
    return await sample(sampler)
  } finally {
    call(sampler, 'dispose')
  }
}

/** The native side's lists: id, value, id, value. */
function pairsOf(list: unknown): readonly { tokenId: number; logit: number }[] {
  const values: readonly unknown[] = Array.isArray(list) ? list : []
  return values.flatMap((tokenId, i) => {
    const logit = values[i + 1]
    return i % 2 === 0 && typeof tokenId === 'number' && typeof logit === 'number'
      ? [{ tokenId, logit }]
      : []
  })
}

const call = (target: unknown, name: string, ...args: readonly unknown[]): unknown => {
  const method = property(target, name)
  if (typeof method !== 'function')
    throw new Error(`node-llama-cpp’s sampler has no ${name} any more; see logit-reader.ts`)
  return Reflect.apply(method, target, args) as unknown
}
