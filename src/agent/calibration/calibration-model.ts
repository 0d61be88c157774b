import { denseModel, weightTypes, type TransformerSize } from '../../models/synthetic-gguf-dense.ts'
import { elementsOf, tensorBytes, type SyntheticModel } from '../../models/synthetic-gguf.ts'

/** A model to measure with, and what one of its tokens costs. */
export type CalibrationModel = {
  readonly model: SyntheticModel
  /** Size of the weights, about that of the file. */
  readonly bytes: number
  /** Weights and cache read for one token of an answer. */
  readonly decodeBytesPerToken: number
  /** Operations for one token of a prompt. */
  readonly prefillFlopPerToken: number
}

/** What bounds the model's size; null is unknown. */
export type CalibrationRoom = {
  readonly availableMemoryBytes: number
  readonly diskFreeBytes: number
} & (
  | { readonly kind: 'cpu'; readonly lastCacheBytes: number | null }
  | { readonly kind: 'gpu'; readonly vramBytes: number | null }
)

/** Share of what is free, of memory and of disk, that the model may take while it exists. */
const freeShareMax = 1 / 8
const vramShareMax = 1 / 4

const mebibyte = 1024 ** 2
/** Weights that lie in the processor's cache are read faster than any real model's. */
const cacheMultiple = 1.5
const cpuBytes = { min: 32 * mebibyte, usual: 112 * mebibyte, max: 512 * mebibyte }
/** A GPU of 1 TB/s reads the usual size in a millisecond, several times what asking for one token takes. */
const gpuBytes = { min: 120 * mebibyte, usual: 1_000 * mebibyte }

/** Tokens in the cache while decoding is measured, on average; they add 1 % to what is read. */
const cachedTokens = 64

/**
 * 4-bit weights, since that is what people serve: processors unpack and repack them by other kernels than 8-bit ones.
 * Layers are as wide as those of real models, so that synchronising the threads costs the same share.
 */
const shapes = {
  cpu: { embedding: 2048, heads: 32, kvHeads: 8, headSize: 64, feedForward: 5632 },
  gpu: { embedding: 4096, heads: 32, kvHeads: 8, headSize: 128, feedForward: 14_336 },
} as const
const vocabulary = 2048
const contextTokens = 2048

/** @returns the model that fits the room, or why there is none */
export function calibrationModel(
  room: CalibrationRoom,
): CalibrationModel | { readonly problem: string } {
  const { min, wanted } = sizes(room)
  const memoryBytes = room.availableMemoryBytes * freeShareMax
  const diskBytes = room.diskFreeBytes * freeShareMax
  const bytes = Math.min(wanted, memoryBytes, diskBytes)
  if (bytes < min) {
    const short = Math.min(memoryBytes, diskBytes) === diskBytes ? 'disk' : 'memory'
    return { problem: `too little ${short} is free to measure with a model of ${mb(min)} MB` }
  }
  const sizeOf = (layers: number): TransformerSize => ({
    ...shapes[room.kind],
    layers,
    vocabulary,
    contextTokens,
    type: weightTypes.q4_0,
  })
  const layerBytes = bytesOf(denseModel(sizeOf(2))) - bytesOf(denseModel(sizeOf(1)))
  const restBytes = bytesOf(denseModel(sizeOf(1))) - layerBytes
  return describe(sizeOf(Math.max(1, Math.floor((bytes - restBytes) / layerBytes))))
}

function sizes(room: CalibrationRoom): { readonly min: number; readonly wanted: number } {
  if (room.kind === 'gpu')
    return {
      min: gpuBytes.min,
      wanted: Math.min(gpuBytes.usual, (room.vramBytes ?? 2 * gpuBytes.usual) * vramShareMax),
    }
  const beyondCache = (room.lastCacheBytes ?? 0) * cacheMultiple
  return {
    min: cpuBytes.min,
    wanted: Math.min(cpuBytes.max, Math.max(cpuBytes.usual, beyondCache)),
  }
}

function describe(size: TransformerSize): CalibrationModel {
  const model = denseModel(size)
  const bytes = bytesOf(model)
  const ends = new Set(['token_embd.weight', 'output.weight'])
  let tableBytes = 0
  let multiplied = 0
  for (const tensor of model.tensors) {
    // Of the table of the input one row is read; a prompt's tokens but the last need no output.
    if (tensor.name === 'token_embd.weight') tableBytes = tensorBytes(tensor)
    if (!ends.has(tensor.name) && tensor.dimensions.length === 2) multiplied += elementsOf(tensor)
  }
  const cacheBytes = size.layers * 2 * size.kvHeads * size.headSize * 2 * cachedTokens
  return {
    model,
    bytes,
    decodeBytesPerToken: bytes - tableBytes + tableBytes / size.vocabulary + cacheBytes,
    prefillFlopPerToken: 2 * multiplied,
  }
}

const bytesOf = (model: SyntheticModel): number =>
  model.tensors.reduce((sum, tensor) => sum + tensorBytes(tensor), 0)

const mb = (bytes: number): number => Math.round(bytes / mebibyte)
