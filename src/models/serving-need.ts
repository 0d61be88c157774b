import { defaultCacheTypes, type MemoryRequest } from './memory-need-request.ts'
import type { ModelKind } from './model-kind.ts'
import type { ModelShape } from './model-shape-schema.ts'

/** Tokens that are computed at once, all slots together: memory grows with it, and a cancel waits for one batch at most. */
export const batchTokensMax = 512

type Served = {
  readonly contextTokens: number
  readonly slots: number
  readonly kind?: ModelKind
}

/**
 * How a worker of this pool loads a model, for `memoryNeed`; only how much of it lies on a GPU is left open.
 * @param contextTokens of one slot; a model gets no more than it was trained for
 */
export function servingRequest(
  shape: ModelShape,
  { contextTokens, slots, kind = 'chat' }: Served,
): Omit<MemoryRequest, 'gpuLayers'> {
  const trained = shape.contextTokensTrained
  const contextTokensPerSlot = trained > 0 ? Math.min(contextTokens, trained) : contextTokens
  return {
    shape,
    contextTokensPerSlot,
    slots,
    ...(kind === 'chat'
      ? { batchTokens: Math.min(batchTokensMax, contextTokensPerSlot * slots) }
      : wholeInputs(contextTokensPerSlot * slots)),
    cacheTypes: defaultCacheTypes,
    flashAttention: true,
  }
}

/**
 * A model that makes vectors has a context a slot, each of which computes a whole input at once. llama.cpp makes the logits
 * of all its tokens beside the vector and keeps them, although nobody wants them: with a vocabulary of 50,000 tokens,
 * resident memory grew by 2 times 4 bytes a token and entry (2,048 tokens: 812 MB; twice 1,024: 798 MB).
 */
const wholeInputs = (tokens: number) => ({ batchTokens: tokens, outputTokens: tokens })
