import { batchOf, cacheBytes, cellsOf, isOnGpu } from './memory-need-cache.ts'
import type { MemoryRequest } from './memory-need-request.ts'
import type { AttentionShape, LayerShape, StateShape } from './model-shape-schema.ts'

/**
 * The buffers that the computation reuses from step to step: as large as the step that needs most. Which large tensors
 * live at once in each step was read from llama.cpp's graphs; how many small ones pile up beside them was measured.
 */
export function computeBytes(request: MemoryRequest): {
  readonly gpuBytes: number
  readonly cpuBytes: number
} {
  const { layers } = request.shape
  const batch = batchSizes(request)
  const outputBytes = batch.logits + 3 * batch.vectors
  if (request.gpuLayers === null) {
    const steps = layers.map(layer => layerBytes(batch, layer, nothingCopied))
    return { gpuBytes: 0, cpuBytes: maxOf([outputBytes, ...steps]) }
  }
  const copies = copiedBytes(request)
  const steps = layers.map((layer, index) =>
    layerBytes(batch, layer, copies[index] ?? nothingCopied),
  )
  const outputCopy = copies[layers.length] ?? nothingCopied
  const statesOnHost = layers.map(({ state }, index) =>
    state === null || isOnGpu(request, index) ? 0 : stateOnHostBytes(batch, state),
  )
  return {
    gpuBytes: maxOf([outputBytes + outputCopy.matrix, ...steps]),
    // Masks, and the embedded tokens on their way to the GPU.
    cpuBytes: batch.masks + 2 * batch.vectors + maxOf(statesOnHost),
  }
}

type BatchSizes = {
  readonly tokens: number
  readonly slots: number
  /** One vector of the model for each token. */
  readonly vectors: number
  /** For every token of the batch, whether they are asked for or not. */
  readonly logits: number
  /** Which cells each token may see. */
  readonly masks: number
  /** For one head: what each token makes of each cell; 0 with flash attention, which never has them all at once. */
  readonly scores: { readonly full: number; readonly window: number }
}

function batchSizes(request: MemoryRequest): BatchSizes {
  const { shape, slots, flashAttention } = request
  const tokens = batchOf(request)
  const cells = cellsOf(request)
  const attends = shape.layers.some(({ attention }) => attention !== null)
  const maskBytes = flashAttention ? 2 : 4
  const scores = (count: number): number => (flashAttention ? 0 : count * tokens * 4)
  return {
    tokens,
    slots,
    vectors: tokens * shape.embedding * 4,
    logits: tokens * shape.vocabulary * 4,
    masks: attends ? (cells.full + cells.window) * tokens * maskBytes : 0,
    scores: { full: scores(cells.full), window: scores(cells.window) },
  }
}

/** What a step gets copied from the CPU before the GPU can compute it. */
type CopiedBytes = {
  readonly cache: number
  /** The largest weight that is one matrix, and the largest that is one for each expert. */
  readonly matrix: number
  readonly experts: number
}
const nothingCopied: CopiedBytes = { cache: 0, matrix: 0, experts: 0 }

/** By layer, the output behind the last. The GPU computes batches for what lies on the CPU too, with copies of it. */
function copiedBytes(request: MemoryRequest): readonly CopiedBytes[] {
  const { shape } = request
  const caches = cacheBytes(request)
  const largest = Array.from({ length: shape.layers.length + 1 }, () => ({ matrix: 0, experts: 0 }))
  for (const { layer, matrixBytes, expertsBytes } of shape.weights)
    if (layer >= 0 && layer < largest.length)
      largest[layer] = { matrix: matrixBytes, experts: expertsBytes }
  const output = largest[shape.layers.length]
  if (output !== undefined && shape.tiedEmbeddings) output.matrix = shape.embeddingTable?.bytes ?? 0
  return largest.map((weights, layer) => {
    if (isOnGpu(request, layer)) return nothingCopied
    const attends = (shape.layers[layer]?.attention ?? null) !== null
    return { ...weights, cache: attends ? (caches[layer] ?? 0) : 0 }
  })
}

/** The most that one layer holds at once. */
function layerBytes(batch: BatchSizes, layer: LayerShape, copied: CopiedBytes): number {
  const { attention, state } = layer
  const { masks, vectors, tokens } = batch
  const halves = tokens * layer.feedForward * 4
  const usedHalves = tokens * layer.expertsUsed * layer.expertFeedForward * 4
  const usedVectors = layer.expertFeedForward === 0 ? 0 : vectors * layer.expertsUsed
  return (
    masks +
    maxOf([
      attention === null ? 0 : attentionBytes(batch, attention) + copied.cache,
      state === null ? 0 : stateBytes(batch, state),
      // Gate, what it gates, and their product; the weights of both are copied together.
      3 * halves + 4 * vectors + 2 * copied.matrix,
      // The same for all experts of each token, and then their answers before they are summed.
      3 * usedHalves + 4 * vectors + copied.experts,
      2 * usedVectors + 2 * vectors + copied.experts,
    ])
  )
}

function attentionBytes(batch: BatchSizes, attention: AttentionShape): number {
  const { heads, kvHeads, keySize, valueSize, latent, windowed } = attention
  const scores = heads * (windowed ? batch.scores.window : batch.scores.full)
  // Unpacked queries, queries in the latent space with their position part, and the answers there.
  const perToken =
    latent === null
      ? 2 * heads * keySize + kvHeads * (keySize + valueSize)
      : heads * (latent.keySize + keySize + valueSize + (keySize - valueSize)) + kvHeads * keySize
  return scores + 3 * batch.vectors + batch.tokens * perToken * 4
}

function stateBytes(batch: BatchSizes, { kind, ...state }: StateShape): number {
  const floats = (perToken: number): number => batch.tokens * perToken * 4
  const states = batch.slots * state.stateElements * 4
  switch (kind) {
    case 'mamba':
      return (
        floats(state.projected + 2 * state.convolved + 2 * state.inner) + states + 2 * batch.vectors
      )
    case 'delta':
      return floats(3 * state.convolved - state.inner / 2) + 2.5 * states + 2 * batch.vectors
    case 'convolution':
    case 'rwkv':
      return floats(state.projected + 2 * state.convolved) + states + 4 * batch.vectors
  }
}

/** The part of a state's step that is not a multiplication with weights stays where the state is. */
function stateOnHostBytes(batch: BatchSizes, state: StateShape): number {
  const perToken = state.kind === 'delta' ? state.inner : 2 * state.convolved + state.inner
  return batch.tokens * perToken * 4 + 2 * batch.slots * state.stateElements * 4
}

const maxOf = (bytes: readonly number[]): number =>
  bytes.reduce((most, size) => Math.max(most, size), 0)
