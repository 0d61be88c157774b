import { readGgufHeader } from '../models/gguf-header.ts'
import { memoryNeed } from '../models/memory-need.ts'
import { modelShape } from '../models/model-shape.ts'
import { servingRequest } from '../models/serving-need.ts'
import type { Load } from '../protocol/server-message.ts'

/**
 * Main memory that a worker takes for a model on a machine without a GPU, read from the file's header: weights, cache
 * of all slots, computation, and the process itself.
 * @returns bytes, or null when the architecture is not known well enough to say
 */
export function needWithoutGpuBytes(path: string, load: Load): number | null {
  const header = readGgufHeader(path)
  if (typeof header === 'string') return null
  const shape = modelShape(header)
  if (typeof shape === 'string') return null
  const need = memoryNeed({ ...servingRequest(shape, load), gpuLayers: null })
  return typeof need === 'string' ? null : need.cpu.totalBytes + need.workerBytes
}
