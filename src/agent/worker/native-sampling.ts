import type { LlamaContextSequence } from 'node-llama-cpp'

/** The native context's `sampleToken(batchLogitIndex, sampler, …)`: a token id, or a list where more was asked for. */
export type NativeSample = (...args: readonly unknown[]) => Promise<unknown>

/**
 * A view of a sequence whose native calls for a token go through `wrap`. The library has no public place for it, so this
 * stands where its sequence calls the native context; everything is looked at first, and logit-reader.test.ts and
 * grammar-guard.test.ts fail when a new version moved it.
 * @throws when the library is not as it was
 */
export function samplingThrough(
  sequence: LlamaContextSequence,
  wrap: (sample: NativeSample) => NativeSample,
): LlamaContextSequence {
  const native = property(property(sequence, '_context'), '_ctx')
  const sampleToken = property(native, 'sampleToken')
  if (typeof sampleToken !== 'function' || !isObject(native))
    throw new Error('node-llama-cpp’s samples cannot be watched any more; see native-sampling.ts')
  const sample: NativeSample = async (...args) =>
    Reflect.apply(sampleToken, native, args) as Promise<unknown>
  const nativeView = overlay(native, { sampleToken: wrap(sample) }, native)
  const contextView = overlay(sequence.context, { _ctx: nativeView }, sequence.context)
  return overlay(sequence, { _context: contextView }, null)
}

/** @param self what its functions are called on; null: the view itself, so that they see what lies over it */
function overlay<Target extends object>(
  target: Target,
  over: Readonly<Record<string, unknown>>,
  self: object | null,
): Target {
  return new Proxy(target, {
    get: (_, name) => {
      if (typeof name === 'string' && Object.hasOwn(over, name)) return over[name]
      const value = property(target, name)
      return self !== null && typeof value === 'function' ? value.bind(self) : value
    },
  })
}

export const isObject = (value: unknown): value is object =>
  (typeof value === 'object' && value !== null) || typeof value === 'function'

export const property = (value: unknown, name: string | symbol): unknown =>
  isObject(value) ? (Reflect.get(value, name) as unknown) : undefined
