import { isOnGpu } from './memory-need-cache.ts'
import type { MemoryRequest } from './memory-need-request.ts'

export type WeightsBytes = {
  readonly gpuBytes: number
  readonly cpuBytes: number
  readonly fileCacheBytes: number
}

/** Where the weights lie. The file is mapped: the side of the CPU keeps the range from its first tensor to its last. */
export function weightsBytes(request: MemoryRequest): WeightsBytes {
  const { shape, gpuLayers } = request
  let gpuBytes = 0
  let cpuBytes = 0
  let mappedBytes = 0
  let rangeStart = Infinity
  let rangeEnd = 0
  for (const weights of shape.weights) {
    if (isOnGpu(request, weights.layer)) {
      gpuBytes += weights.bytes
      continue
    }
    cpuBytes += weights.bytes
    const relaidBytes = gpuLayers === null ? weights.relaidBytes : 0
    const [start, end] =
      gpuLayers === null ? [weights.keptStart, weights.keptEnd] : [weights.start, weights.end]
    mappedBytes += weights.bytes - relaidBytes
    if (end === 0) continue
    rangeStart = Math.min(rangeStart, start)
    rangeEnd = Math.max(rangeEnd, end)
  }
  if (shape.tiedEmbeddings) {
    // The output multiplies with the table that the input only looks rows up in: another place, a copy.
    const table = shape.embeddingTable
    if (isOnGpu(request, shape.layers.length)) gpuBytes += table?.bytes ?? 0
    else if (gpuLayers === null && table?.relaid === true) cpuBytes += table.bytes
  }
  return { gpuBytes, cpuBytes, fileCacheBytes: Math.max(0, rangeEnd - rangeStart - mappedBytes) }
}
