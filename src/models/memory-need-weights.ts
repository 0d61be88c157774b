import { isOnGpu } from './memory-need-cache.ts'
import type { MemoryRequest } from './memory-need-request.ts'
import type { PlacedTensor } from './model-shape.ts'

export type WeightsBytes = {
  readonly gpuBytes: number
  readonly cpuBytes: number
  readonly fileCacheBytes: number
}

/**
 * Types that llama.cpp copies into a layout of its own on a processor with AVX2, when there is no GPU; the original
 * stays mapped. Other processors copy other types: that only moves the file cache, for each weight counts once anyway.
 */
const relaidTypes = new Set([2, 12, 20, 39])
const relaidRows = 8

/** Where the weights lie. The file is mapped: the side of the CPU keeps the range from its first tensor to its last. */
export function weightsBytes(request: MemoryRequest): WeightsBytes {
  const { shape, gpuLayers } = request
  let gpuBytes = 0
  let cpuBytes = 0
  let mappedBytes = 0
  let rangeStart = Infinity
  let rangeEnd = 0
  for (const tensor of shape.tensors) {
    if (isOnGpu(request, tensor.layer)) {
      gpuBytes += tensor.bytes
      continue
    }
    cpuBytes += tensor.bytes
    if (gpuLayers === null && isRelaid(tensor)) continue
    mappedBytes += tensor.bytes
    rangeStart = Math.min(rangeStart, tensor.offsetBytes)
    rangeEnd = Math.max(rangeEnd, tensor.offsetBytes + tensor.bytes)
  }
  if (shape.tiedEmbeddings) {
    // The output multiplies with the table that the input only looks rows up in: another place, a copy.
    const embedding = embeddingOf(shape.tensors)
    if (isOnGpu(request, shape.layers.length)) gpuBytes += embedding?.bytes ?? 0
    else if (gpuLayers === null && embedding !== undefined && hasRelaidType(embedding))
      cpuBytes += embedding.bytes
  }
  return { gpuBytes, cpuBytes, fileCacheBytes: Math.max(0, rangeEnd - rangeStart - mappedBytes) }
}

const isRelaid = (tensor: PlacedTensor): boolean => tensor.layer >= 0 && hasRelaidType(tensor)

const hasRelaidType = ({ type, matrixRows }: PlacedTensor): boolean =>
  relaidTypes.has(type) && matrixRows !== null && matrixRows % relaidRows === 0

/** The largest table of the input; the output uses it too where the two are tied. */
export function embeddingOf(tensors: readonly PlacedTensor[]): PlacedTensor | undefined {
  let largest: PlacedTensor | undefined
  for (const tensor of tensors)
    if (tensor.layer === -1 && tensor.bytes > (largest?.bytes ?? 0)) largest = tensor
  return largest
}
