import { defaultCacheTypes, type MemoryRequest } from './memory-need-request.ts'
import type { ModelShape } from './model-shape-schema.ts'

/** Tokens that are computed at once, all slots together: memory grows with it, and a cancel waits for one batch at most. */
export const batchTokensMax = 512

/**
 * How a worker of this pool loads a model, for `memoryNeed`; only how much of it lies on a GPU is left open.
 * @param contextTokens of one slot; a model gets no more than it was trained for
 */
export function servingRequest(
  shape: ModelShape,
  { contextTokens, slots }: { readonly contextTokens: number; readonly slots: number },
): Omit<MemoryRequest, 'gpuLayers'> {
  const trained = shape.contextTokensTrained
  const contextTokensPerSlot = trained > 0 ? Math.min(contextTokens, trained) : contextTokens
  return {
    shape,
    contextTokensPerSlot,
    slots,
    batchTokens: Math.min(batchTokensMax, contextTokensPerSlot * slots),
    cacheTypes: defaultCacheTypes,
    flashAttention: true,
  }
}
