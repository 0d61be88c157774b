import type { LayerWeights, ModelShape } from './model-shape-schema.ts'

/** One tensor that is loaded, and where it belongs. */
export type PlacedTensor = {
  /** -1 is the input, and the one behind the last is the output. */
  readonly layer: number
  /** A key of `tensorTypes`. */
  readonly type: number
  readonly bytes: number
  readonly offsetBytes: number
  /** Second dimension of a weight that is multiplied with; null for the rest (norms, biases, tables). */
  readonly matrixRows: number | null
  /** One matrix for each expert. */
  readonly ofExperts: boolean
}

/**
 * Types that llama.cpp copies into a layout of its own on a processor with AVX2, when there is no GPU; the original
 * stays mapped. Other processors copy other types: that only moves the file cache, for each weight counts once anyway.
 */
const relaidTypes = new Set([2, 12, 20, 39])
const relaidRows = 8

/** Adds up by layer: what memory a model takes depends on nothing finer, and a file may have 100,000 tensors. */
export function layerWeights(tensors: readonly PlacedTensor[]): LayerWeights[] {
  const byLayer = new Map<number, LayerWeights>()
  for (const tensor of tensors) {
    const sums = byLayer.get(tensor.layer) ?? noWeights(tensor.layer)
    byLayer.set(tensor.layer, sums)
    add(sums, tensor)
  }
  return [...byLayer.values()]
}

/** The largest table of the input; the output uses it too where the two are tied. */
export function embeddingTable(tensors: readonly PlacedTensor[]): ModelShape['embeddingTable'] {
  let largest: ModelShape['embeddingTable'] = null
  for (const tensor of tensors)
    if (tensor.layer === -1 && tensor.bytes > (largest?.bytes ?? 0))
      largest = { bytes: tensor.bytes, relaid: hasRelaidType(tensor) }
  return largest
}

const noWeights = (layer: number): LayerWeights => ({
  layer,
  bytes: 0,
  relaidBytes: 0,
  start: Infinity,
  end: 0,
  keptStart: 0,
  keptEnd: 0,
  matrixBytes: 0,
  expertsBytes: 0,
})

function add(sums: LayerWeights, tensor: PlacedTensor): void {
  const { bytes, offsetBytes, ofExperts, matrixRows } = tensor
  const end = offsetBytes + bytes
  sums.bytes += bytes
  sums.start = Math.min(sums.start, offsetBytes)
  sums.end = Math.max(sums.end, end)
  if (tensor.layer >= 0 && hasRelaidType(tensor)) sums.relaidBytes += bytes
  else {
    sums.keptStart = sums.keptEnd === 0 ? offsetBytes : Math.min(sums.keptStart, offsetBytes)
    sums.keptEnd = Math.max(sums.keptEnd, end)
  }
  if (matrixRows === null) return
  const largest = ofExperts ? 'expertsBytes' : 'matrixBytes'
  sums[largest] = Math.max(sums[largest], bytes)
}

const hasRelaidType = ({ type, matrixRows }: PlacedTensor): boolean =>
  relaidTypes.has(type) && matrixRows !== null && matrixRows % relaidRows === 0
