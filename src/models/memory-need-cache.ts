import { tensorTypes } from './gguf-types.ts'
import type { MemoryRequest } from './memory-need-request.ts'
import type { AttentionShape } from './model-shape-schema.ts'

/** llama.cpp rounds the cells of every cache up to this many. */
export const cacheCells = { padding: 256 } as const

const padded = (cells: number): number => Math.ceil(cells / cacheCells.padding) * cacheCells.padding

/** Cells of one slot, in the caches of layers that see everything and of those that see a window. */
export function cellsOf(request: MemoryRequest): {
  readonly full: number
  readonly window: number
} {
  const { shape, contextTokensPerSlot } = request
  const full = padded(contextTokensPerSlot)
  if (shape.windowTokens === null) return { full, window: 0 }
  // A whole batch lies in the cache beside the window before the oldest cells are given up.
  return { full, window: padded(Math.min(full, shape.windowTokens + microBatch(request))) }
}

/** Tokens of the largest step of the computation. */
export function batchOf(request: MemoryRequest): number {
  const cells = padded(request.contextTokensPerSlot) * request.slots
  return Math.min(cells, microBatch(request))
}

function microBatch({ shape, batchTokens, slots }: MemoryRequest): number {
  const tokens = Math.max(batchTokens, slots)
  // node-llama-cpp asks for one token more where a window is smaller than the trained context.
  const windowed = shape.windowTokens !== null && shape.windowTokens < shape.contextTokensTrained
  return windowed ? tokens + 1 : tokens
}

/** Bytes of cache and state of each layer, all slots together. */
export function cacheBytes(request: MemoryRequest): readonly number[] {
  const { shape, slots, flashAttention } = request
  const cells = cellsOf(request)
  // Without flash attention values are stored by column, and all layers get columns as long as the longest.
  const valuesMax = Math.max(
    0,
    ...shape.layers.map(({ attention }) => (attention === null ? 0 : valueElements(attention))),
  )
  return shape.layers.map(({ attention, state }) => {
    const stateBytes = state === null ? 0 : (state.shiftElements + state.stateElements) * 4
    if (attention === null || !attention.cached) return stateBytes * slots
    const values = attention.latent === null ? valueElements(attention) : 0
    const perCell =
      bytesOf(attention.keySize * attention.kvHeads, request.cacheTypes.keys) +
      bytesOf(values === 0 || flashAttention ? values : valuesMax, request.cacheTypes.values)
    return slots * (stateBytes + perCell * (attention.windowed ? cells.window : cells.full))
  })
}

/** Sums what lies on one side; `bytes` has an entry for each layer. */
export function sumOfLayer(
  bytes: readonly number[],
  request: MemoryRequest,
  where: 'gpu' | 'cpu',
): number {
  return bytes.reduce(
    (sum, size, layer) => (isOnGpu(request, layer) === (where === 'gpu') ? sum + size : sum),
    0,
  )
}

/** The input (layer -1) never is; the output is the layer behind the last and goes first. */
export function isOnGpu({ shape, gpuLayers }: MemoryRequest, layer: number): boolean {
  return layer >= 0 && layer >= shape.layers.length + 1 - (gpuLayers ?? 0)
}

const valueElements = ({ valueSize, kvHeads }: AttentionShape): number => valueSize * kvHeads

function bytesOf(elements: number, type: number): number {
  const layout = tensorTypes.get(type)
  return layout === undefined ? 0 : (elements / layout.blockElements) * layout.blockBytes
}
