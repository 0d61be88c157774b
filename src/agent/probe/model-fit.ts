import { Type, type Static } from 'typebox'
import { contextThatFits, layersThatFit, memoryNeed } from '../../models/memory-need.ts'
import type { MemoryRequest } from '../../models/memory-need-request.ts'
import type { ModelShape } from '../../models/model-shape-schema.ts'
import { servingRequest } from '../../models/serving-need.ts'
import { limits } from '../../protocol/limits.ts'

/** How a model would lie on one device. All sizes in bytes; `haveBytes` is what a model may take there. */
export const ModelFitSchema = Type.Union([
  /** Everything on the device. `contextTokens` is less than what the pool wants where only that fits. */
  Type.Object({
    type: Type.Literal('whole'),
    contextTokens: Type.Integer({ minimum: 1 }),
    /** The largest context of a slot that fits, up to what the model was trained for. */
    contextTokensMax: Type.Integer({ minimum: 1 }),
    needBytes: Type.Number({ minimum: 0 }),
    haveBytes: Type.Number({ minimum: 0 }),
  }),
  /** Some layers on the GPU (the output counts as one), the rest in main memory, which is slower. */
  Type.Object({
    type: Type.Literal('partly'),
    contextTokens: Type.Integer({ minimum: 1 }),
    gpuLayers: Type.Integer({ minimum: 1 }),
    layers: Type.Integer({ minimum: 1 }),
    gpuBytes: Type.Number({ minimum: 0 }),
    cpuBytes: Type.Number({ minimum: 0 }),
  }),
  Type.Object({
    type: Type.Literal('not'),
    needBytes: Type.Number({ minimum: 0 }),
    haveBytes: Type.Number({ minimum: 0 }),
  }),
  /** The header is not known here: the weights alone against the memory. */
  Type.Object({
    type: Type.Literal('size_only'),
    weightsBytes: Type.Number({ minimum: 0 }),
    haveBytes: Type.Number({ minimum: 0 }),
  }),
  Type.Object({ type: Type.Literal('unknown'), reason: Type.String() }),
])
export type ModelFit = Static<typeof ModelFitSchema>

export type ModelToFit = {
  readonly name: string
  readonly sizeBytes: number
  /** Null: neither a file here nor the server tells it. */
  readonly shape: ModelShape | null
  /** Tokens of one slot, as the pool wants them. */
  readonly contextTokens: number
  readonly slots: number
}

/** Where a model may lie. */
export type Room = {
  /** What models may take of the GPU; null: its memory is not known; absent: this is the processor. */
  readonly gpuBytes?: number | null
  /** Whether the GPU's memory is a part of main memory. */
  readonly shared: boolean
  /** Main memory that a new process can get now. */
  readonly cpuBytes: number
}

const headroomBytes = limits.memoryHeadroomMb * 1024 ** 2

/** What the device has for a model is less by the headroom that stays free, on either side. */
export function fitModel(model: ModelToFit, room: Room): ModelFit {
  const cpuBytes = Math.max(0, room.cpuBytes - headroomBytes)
  if (room.gpuBytes === null) return { type: 'unknown', reason: 'its memory could not be read' }
  const gpuBytes =
    room.gpuBytes === undefined
      ? null
      : Math.max(0, room.shared ? Math.min(room.gpuBytes, cpuBytes) : room.gpuBytes) - headroomBytes
  const haveBytes = Math.max(0, gpuBytes ?? cpuBytes)
  const { shape } = model
  if (shape === null) return { type: 'size_only', weightsBytes: model.sizeBytes, haveBytes }
  const request = servingRequest(shape, model)
  return gpuBytes === null
    ? fitWhole({ ...request, gpuLayers: null }, { gpuBytes: 0, cpuBytes }, haveBytes)
    : fitGpu(request, { gpuBytes: haveBytes, cpuBytes }, room.shared)
}

type Available = { readonly gpuBytes: number; readonly cpuBytes: number }

/** All layers in one place. The worker's own share is taken off main memory first. */
function fitWhole(request: MemoryRequest, available: Available, haveBytes: number): ModelFit {
  const need = memoryNeed(request)
  if (typeof need === 'string') return { type: 'unknown', reason: need }
  const onGpu = request.gpuLayers !== null
  const within = { ...available, cpuBytes: Math.max(0, available.cpuBytes - need.workerBytes) }
  const contextTokensMax = contextThatFits(request, within)
  const contextTokens = Math.min(request.contextTokensPerSlot, contextTokensMax)
  const fitting = memoryNeed({ ...request, contextTokensPerSlot: Math.max(1, contextTokens) })
  if (contextTokens === 0 || typeof fitting === 'string')
    return { type: 'not', needBytes: sizeOf(need, onGpu), haveBytes }
  const needBytes = sizeOf(fitting, onGpu)
  return { type: 'whole', contextTokens, contextTokensMax, needBytes, haveBytes }
}

type Need = Exclude<ReturnType<typeof memoryNeed>, string>

const sizeOf = ({ gpu, cpu, workerBytes }: Need, onGpu: boolean): number =>
  onGpu ? gpu.totalBytes : cpu.totalBytes + workerBytes

/** A smaller context is worse than a slower part: whole at what the pool wants, else partly, else whole with less. */
function fitGpu(
  request: Omit<MemoryRequest, 'gpuLayers'>,
  available: Available,
  shared: boolean,
): ModelFit {
  const layers = request.shape.layers.length + 1
  const whole = fitWhole({ ...request, gpuLayers: layers }, available, available.gpuBytes)
  if (whole.type === 'whole' && whole.contextTokens === request.contextTokensPerSlot) return whole
  const gpuLayers = layersThatFit(request, available.gpuBytes)
  if (gpuLayers === null || gpuLayers === 0 || gpuLayers === layers) return whole
  const need = memoryNeed({ ...request, gpuLayers })
  if (typeof need === 'string') return whole
  const cpuBytes = need.cpu.totalBytes + need.workerBytes
  const gpuBytes = need.gpu.totalBytes
  if (cpuBytes + (shared ? gpuBytes : 0) > available.cpuBytes) return whole
  const { contextTokensPerSlot: contextTokens } = request
  return { type: 'partly', contextTokens, gpuLayers, layers, gpuBytes, cpuBytes }
}
