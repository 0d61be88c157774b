import { cacheBytes, cacheCells, sumOfLayer } from './memory-need-cache.ts'
import { computeBytes } from './memory-need-compute.ts'
import { requestProblem, type MemoryRequest } from './memory-need-request.ts'
import { weightsBytes } from './memory-need-weights.ts'

export type MemorySide = {
  /** Weights that are read for every token. */
  readonly weightsBytes: number
  /** Keys and values, and the states of layers that have those instead. */
  readonly kvCacheBytes: number
  /** What the computation holds between its steps, for the largest batch. */
  readonly computeBytes: number
  /** Logits of the tokens that are sampled from. */
  readonly outputBytes: number
  readonly totalBytes: number
}

export type MemoryNeed = {
  readonly gpu: MemorySide
  readonly cpu: MemorySide
  /**
   * Pages of the file that are mapped but not needed once the weights lie elsewhere: on the GPU, or in another layout
   * that the processor computes faster with. They count in the process's resident size and the system drops them when
   * memory is short, so no total has them.
   */
  readonly fileCacheBytes: number
  /** The worker itself: runtime, library, vocabulary. Not in the totals. */
  readonly workerBytes: number
}

/** Measured with `bench/memory.ts`: resident size of the worker beyond the model's own buffers. */
const workerBaseBytes = 110 * 1024 ** 2
const workerBytesPerToken = 450

/**
 * What llama.cpp (v0.5.0, as node-llama-cpp 3.22.1 drives it) will take for a model, from the header alone.
 * It is an estimate: `bench/memory.ts` shows how far it is off. What a GPU's driver takes for itself is not in it.
 * @returns the need, or a text that says why the model cannot be loaded like that
 */
export function memoryNeed(request: MemoryRequest): MemoryNeed | string {
  const problem = requestProblem(request)
  if (problem !== null) return problem
  const { shape, slots } = request
  const weights = weightsBytes(request)
  const caches = cacheBytes(request)
  const compute = computeBytes(request)
  const outputBytes = shape.vocabulary * (request.outputTokens ?? slots) * 4
  return {
    gpu: side(weights.gpuBytes, sumOfLayer(caches, request, 'gpu'), compute.gpuBytes, 0),
    cpu: side(weights.cpuBytes, sumOfLayer(caches, request, 'cpu'), compute.cpuBytes, outputBytes),
    fileCacheBytes: weights.fileCacheBytes,
    workerBytes: workerBaseBytes + shape.vocabulary * workerBytesPerToken,
  }
}

function side(
  weights: number,
  kvCacheBytes: number,
  compute: number,
  outputBytes: number,
): MemorySide {
  return {
    weightsBytes: weights,
    kvCacheBytes,
    computeBytes: compute,
    outputBytes,
    totalBytes: weights + kvCacheBytes + compute + outputBytes,
  }
}

/**
 * How many layers fit on a GPU; the output counts as one.
 * @returns 0 when not one fits but the GPU can still compute for the rest, null when it cannot even do that
 */
export function layersThatFit(
  request: Omit<MemoryRequest, 'gpuLayers'>,
  vramBytes: number,
): number | null {
  for (let gpuLayers = request.shape.layers.length + 1; gpuLayers >= 0; gpuLayers--) {
    const need = memoryNeed({ ...request, gpuLayers })
    if (typeof need !== 'string' && need.gpu.totalBytes <= vramBytes) return gpuLayers
  }
  return null
}

/** What there is for a model: with the worker's own share already taken off. */
export type AvailableMemory = { readonly gpuBytes: number; readonly cpuBytes: number }

/**
 * The largest context of a slot that fits, up to what the model was trained for; a multiple of 256 tokens or exactly
 * what it was trained for, because the engine rounds up to the next 256.
 * @returns 0 when not even 256 tokens fit
 */
export function contextThatFits(
  request: Omit<MemoryRequest, 'contextTokensPerSlot'>,
  available: AvailableMemory,
): number {
  const trained = request.shape.contextTokensTrained
  const fits = (contextTokensPerSlot: number): boolean => {
    const need = memoryNeed({ ...request, contextTokensPerSlot })
    return (
      typeof need !== 'string' &&
      need.gpu.totalBytes <= available.gpuBytes &&
      need.cpu.totalBytes <= available.cpuBytes
    )
  }
  if (trained > 0 && fits(trained)) return trained
  let low = 0
  let high = Math.ceil(trained / cacheCells.padding)
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2)
    if (fits(middle * cacheCells.padding)) low = middle
    else high = middle
  }
  return low * cacheCells.padding
}
