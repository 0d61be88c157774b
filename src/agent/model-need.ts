import { layersThatFit, memoryNeed } from '../models/memory-need.ts'
import { modelKind } from '../models/model-kind.ts'
import { modelShape } from '../models/model-shape.ts'
import { servingRequest } from '../models/serving-need.ts'
import { readModelHeader } from '../models/split-gguf.ts'
import { limits } from '../protocol/limits.ts'
import type { EngineModel } from './engine/engine.ts'

/** Memory that the GPUs have for one more model. `unified`: it is main memory. `unwanted`: none is to be used. */
export type GpuMemory =
  | { readonly state: 'none' | 'unknown' | 'unwanted' }
  | (KnownGpuMemory & { readonly state: 'known' })
type KnownGpuMemory = { readonly bytes: number; readonly unified: boolean }

/** How a model is to be loaded, and what it takes then. */
export type LoadPlan = {
  readonly gpuLayers: EngineModel['gpuLayers']
  /** Of main memory: weights, cache of all slots, computation, and the process itself; null when it cannot be told. */
  readonly mainBytes: number | null
  readonly gpuBytes: number
}

/** The engine decides. */
const undecided: LoadPlan = { gpuLayers: 'auto', mainBytes: null, gpuBytes: 0 }
/** Nothing is known of the model, but the GPU is out of the question. */
const undecidedWithoutGpu: LoadPlan = { ...undecided, gpuLayers: null }

/**
 * Decides by the file's header and what was measured of the GPUs how many layers lie there. Where the architecture or
 * the memory is not known well enough it is left to the engine.
 */
export const planLoad = (path: string, wanted: Wanted, gpu: GpuMemory): LoadPlan =>
  loadPlanner(path, wanted)(gpu)

type Wanted = Pick<EngineModel, 'contextTokens' | 'slots'>

/** `planLoad` for one file and several states of the GPUs; the header is read once. */
export function loadPlanner(path: string, wanted: Wanted): (gpu: GpuMemory) => LoadPlan {
  const request = requestOf(path, wanted)
  return gpu => (request === null || gpu.state === 'unknown' ? fallback(gpu) : plan(request, gpu))
}

const fallback = (gpu: GpuMemory): LoadPlan =>
  gpu.state === 'unwanted' ? undecidedWithoutGpu : undecided

function requestOf(path: string, { contextTokens, slots }: Wanted): ServingRequest | null {
  const header = readModelHeader(path)
  if (typeof header === 'string') return null
  const shape = modelShape(header)
  if (typeof shape === 'string') return null
  return servingRequest(shape, { contextTokens, slots, kind: modelKind(header) })
}

type ServingRequest = ReturnType<typeof servingRequest>

function plan(request: ServingRequest, gpu: GpuMemory): LoadPlan {
  const headroomBytes = limits.memoryHeadroomMb * 1024 ** 2
  const gpuLayers =
    gpu.state === 'known' ? layersThatFit(request, Math.max(0, gpu.bytes - headroomBytes)) : null
  const need = memoryNeed({ ...request, gpuLayers })
  if (typeof need === 'string') return fallback(gpu)
  const gpuBytes = need.gpu.totalBytes
  const mainBytes = need.cpu.totalBytes + need.workerBytes
  const isUnified = gpu.state === 'known' && gpu.unified
  return {
    gpuLayers: gpu.state === 'none' ? 'auto' : gpuLayers,
    mainBytes: isUnified ? mainBytes + gpuBytes : mainBytes,
    gpuBytes,
  }
}
