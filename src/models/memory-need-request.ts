import { tensorTypes } from './gguf-types.ts'
import type { ModelShape } from './model-shape-schema.ts'

/** How a model is to be loaded. */
export type MemoryRequest = {
  readonly shape: ModelShape
  /** Tokens that one slot holds, prompt and answer together. */
  readonly contextTokensPerSlot: number
  /** Each has a cache of its own: a cell of one is never used by another. */
  readonly slots: number
  /** Tokens that are computed at once. */
  readonly batchTokens: number
  /** Tokens whose logits are kept at once; absent: one a slot, for the next token of each. */
  readonly outputTokens?: number
  /** Keys of `tensorTypes`: what keys and values are stored as. */
  readonly cacheTypes: { readonly keys: number; readonly values: number }
  /** False where the device or the architecture cannot: it costs the scores of every head for every token. */
  readonly flashAttention: boolean
  /** Layers on the GPU, from the last backwards, the output as the first of them; null when the engine has no GPU. */
  readonly gpuLayers: number | null
}

export const memoryLimits = {
  /** As llama.cpp has it. */
  slotsMax: 256,
  /** Of all contexts together; a model that makes vectors computes whole inputs, in a context a slot. */
  batchTokensMax: 1_073_741_824,
  contextTokensMax: 1_073_741_824,
} as const

/** Type number of 16-bit floats, the engine's default for the cache. */
const f16 = 1

/** Both as 16-bit floats. */
export const defaultCacheTypes = { keys: f16, values: f16 } as const

/** @returns why the engine would refuse to load a model like that, or null */
export function requestProblem(request: MemoryRequest): string | null {
  const { shape, contextTokensPerSlot, slots, batchTokens, cacheTypes, gpuLayers } = request
  const keys = tensorTypes.get(cacheTypes.keys)
  const values = tensorTypes.get(cacheTypes.values)
  if (keys === undefined || values === undefined) return 'the type of the cache is unknown'
  if (!isCount(contextTokensPerSlot, 1, memoryLimits.contextTokensMax))
    return `a slot must have 1 to ${memoryLimits.contextTokensMax} tokens`
  if (!isCount(slots, 1, memoryLimits.slotsMax))
    return `there must be 1 to ${memoryLimits.slotsMax} slots`
  if (!isCount(batchTokens, 1, memoryLimits.batchTokensMax))
    return `a batch must have 1 to ${memoryLimits.batchTokensMax} tokens`
  if (gpuLayers !== null && !isCount(gpuLayers, 0, Number.MAX_SAFE_INTEGER))
    return 'the number of layers on the GPU must be a whole number'
  if (!request.flashAttention && values.blockElements > 1)
    return `values can be stored as ${values.name} only with flash attention`
  for (const { attention } of shape.layers)
    if (
      attention !== null &&
      (attention.keySize % keys.blockElements !== 0 ||
        attention.valueSize % values.blockElements !== 0)
    )
      return `heads of ${attention.keySize} and ${attention.valueSize} elements cannot be stored as ${keys.name} and ${values.name}`
  return null
}

const isCount = (value: number, min: number, max: number): boolean =>
  Number.isInteger(value) && value >= min && value <= max
