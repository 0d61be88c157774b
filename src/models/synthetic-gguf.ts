import { open, type FileHandle } from 'node:fs/promises'
import { tensorTypes } from './gguf-types.ts'

/** A metadata value as the file stores it: GGUF tells 32-bit floats and integers apart, JavaScript does not. */
export type SyntheticValue =
  | { readonly f32: number }
  | { readonly u32: number }
  | { readonly text: string }
  | { readonly flag: boolean }
  | { readonly texts: readonly string[] }
  | { readonly i32s: readonly number[] }
  | { readonly f32s: readonly number[] }
  | { readonly flags: readonly boolean[] }

export type SyntheticTensor = {
  readonly name: string
  /** A key of `tensorTypes`. */
  readonly type: number
  readonly dimensions: readonly number[]
}

export type SyntheticModel = {
  readonly metadata: ReadonlyMap<string, SyntheticValue>
  readonly tensors: readonly SyntheticTensor[]
}

const alignmentBytes = 32
const patternBytes = 1024 * 1024

/**
 * Writes a GGUF file that llama.cpp loads: a true header, and weights that are random or, for a model that is only
 * looked at, a hole in the file that takes no room on the disk. Random weights are written in pieces, so that a large
 * file neither fills the memory nor keeps the process from its other work.
 * @throws Node's error when the disk does not take it; the signal's reason when it is aborted
 */
export async function writeSyntheticGguf(
  path: string,
  model: SyntheticModel,
  weights: 'random' | 'hole',
  signal: AbortSignal | null = null,
): Promise<void> {
  const header = encodeHeader(model)
  const dataStart = aligned(header.length)
  const file = await open(path, 'w', 0o600)
  try {
    await file.write(header, 0, header.length, 0)
    const dataBytes = model.tensors.reduce((sum, tensor) => sum + aligned(tensorBytes(tensor)), 0)
    await file.truncate(dataStart + dataBytes)
    if (weights === 'random') await writeRandom(file, dataStart, model.tensors, signal)
  } finally {
    await file.close()
  }
}

function encodeHeader(model: SyntheticModel): Uint8Array {
  const out: Uint8Array[] = [
    Buffer.from('GGUF'),
    u32(3),
    u64(model.tensors.length),
    u64(model.metadata.size),
  ]
  for (const [key, value] of model.metadata) out.push(text(key), encode(value))
  let offset = 0
  for (const tensor of model.tensors) {
    out.push(text(tensor.name), u32(tensor.dimensions.length))
    out.push(...tensor.dimensions.map(u64), u32(tensor.type), u64(offset))
    offset += aligned(tensorBytes(tensor))
  }
  return Buffer.concat(out)
}

const aligned = (bytes: number): number => Math.ceil(bytes / alignmentBytes) * alignmentBytes

export const elementsOf = ({ dimensions }: SyntheticTensor): number =>
  dimensions.reduce((product, size) => product * size, 1)

/** What the tensor takes in the file and in memory. */
export function tensorBytes(tensor: SyntheticTensor): number {
  const { type } = tensor
  const layout = tensorTypes.get(type)
  if (layout === undefined) throw new Error(`no tensor type ${type}`)
  return (elementsOf(tensor) / layout.blockElements) * layout.blockBytes
}

async function writeRandom(
  file: FileHandle,
  dataStart: number,
  tensors: readonly SyntheticTensor[],
  signal: AbortSignal | null,
): Promise<void> {
  const patterns = new Map<number, Buffer>()
  let at = dataStart
  for (const tensor of tensors) {
    const pattern = patterns.get(tensor.type) ?? randomPattern(tensor.type)
    patterns.set(tensor.type, pattern)
    const bytes = tensorBytes(tensor)
    for (let done = 0; done < bytes; done += pattern.length) {
      signal?.throwIfAborted()
      await file.write(pattern, 0, Math.min(pattern.length, bytes - done), at + done)
    }
    at += aligned(bytes)
  }
}

/** About 1 MiB of whole blocks. Scales are small numbers: random bits would make weights infinite. */
function randomPattern(type: number): Buffer {
  const random = generator(type)
  const layout = tensorTypes.get(type)
  if (layout === undefined) throw new Error(`no tensor type ${type}`)
  const blocks = Math.floor(patternBytes / layout.blockBytes)
  const pattern = Buffer.alloc(blocks * layout.blockBytes)
  for (let i = 0; i < pattern.length; i++) pattern[i] = random() & 0xff
  const half = 0x2000 // 2^-7 as a 16-bit float
  for (let block = 0; block < blocks; block++) {
    const at = block * layout.blockBytes
    if (layout.name === 'F32') pattern.writeFloatLE(((random() & 0xffff) - 32_768) / 1e6, at)
    else if (layout.name === 'F16') pattern.writeUInt16LE(half | (random() & 0x83ff), at)
    else pattern.writeUInt16LE(half, layout.name === 'Q6_K' ? at + 208 : at)
    if (layout.name === 'Q4_K') pattern.writeUInt16LE(half, at + 2)
  }
  return pattern
}

/** The same file every time. */
function generator(seed: number): () => number {
  let state = seed + 1
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state >>> 8
  }
}

function encode(value: SyntheticValue): Uint8Array {
  if ('u32' in value) return Buffer.concat([u32(4), u32(value.u32)])
  if ('f32' in value) return Buffer.concat([u32(6), f32(value.f32)])
  if ('flag' in value) return Buffer.concat([u32(7), Buffer.from([value.flag ? 1 : 0])])
  if ('text' in value) return Buffer.concat([u32(8), text(value.text)])
  if ('texts' in value) return array(8, value.texts.map(text))
  if ('i32s' in value)
    return array(5, [new Uint8Array(Int32Array.from(value.i32s).buffer)], value.i32s.length)
  if ('f32s' in value)
    return array(6, [new Uint8Array(Float32Array.from(value.f32s).buffer)], value.f32s.length)
  return array(7, [Uint8Array.from(value.flags, flag => (flag ? 1 : 0))], value.flags.length)
}

const array = (type: number, parts: readonly Uint8Array[], count = parts.length): Uint8Array =>
  Buffer.concat([u32(9), u32(type), u64(count), ...parts])

function text(value: string): Uint8Array {
  const bytes = Buffer.from(value)
  return Buffer.concat([u64(bytes.length), bytes])
}

const u32 = (value: number): Uint8Array => new Uint8Array(Uint32Array.of(value).buffer)
const u64 = (value: number): Uint8Array => new Uint8Array(BigUint64Array.of(BigInt(value)).buffer)
const f32 = (value: number): Uint8Array => new Uint8Array(Float32Array.of(value).buffer)
