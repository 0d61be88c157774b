import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { readGgufHeader } from '../../src/models/gguf-header.ts'

const demoPath = join(import.meta.dir, '../../models/demo/gpupool-demo.gguf')

export const hostileKinds = [
  'header bytes',
  'tensor infos',
  'truncation',
  'huge counts',
  'metadata figures',
  'data flips',
] as const
export type HostileKind = (typeof hostileKinds)[number]

export type HostileFile = {
  readonly seed: number
  readonly kind: HostileKind
  readonly bytes: Uint8Array
}

/** Draws whole numbers below a bound; the same seed draws the same ones (mulberry32). */
type Draw = (below: number) => number

function drawFrom(seed: number): Draw {
  let state = (seed * 2_654_435_761) >>> 0
  return below => {
    state = (state + 0x6d_2b_79_f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

/** Where what lies in the demo model. */
type Anatomy = {
  readonly bytes: Uint8Array
  readonly tensorInfosAt: number
  readonly dataAt: number
  /** Of 32-bit figures such as the number of layers. */
  readonly figuresAt: readonly number[]
}

let known: Anatomy | undefined

function anatomy(): Anatomy {
  if (known !== undefined) return known
  const file = readFileSync(demoPath)
  const header = readGgufHeader(demoPath)
  if (typeof header === 'string') throw new Error(header)
  const dataAt = Math.min(...header.tensors.map(tensor => tensor.offsetBytes))
  const names = header.tensors.map(tensor => file.indexOf(tensor.name))
  const figuresAt = [...header.metadata]
    .filter(([, value]) => typeof value === 'number')
    // After the key come its type and the value, four bytes each.
    .map(([key]) => file.indexOf(key) + Buffer.byteLength(key) + 4)
  known = { bytes: file, tensorInfosAt: Math.min(...names), dataAt, figuresAt }
  return known
}

const extremes = [0, 1, 3, 0x7f_ff_ff_ff, 0xff_ff_ff_ff, 0x10_00_00, 0xff_ff]

const mutations: Readonly<Record<HostileKind, (bytes: Buffer, draw: Draw) => Buffer>> = {
  'header bytes': (bytes, draw) => flip(bytes, draw, 0, anatomy().dataAt, 1 + draw(8)),
  'tensor infos': (bytes, draw) => {
    const { tensorInfosAt, dataAt } = anatomy()
    return flip(bytes, draw, tensorInfosAt, dataAt, 1 + draw(4))
  },
  truncation: (bytes, draw) => bytes.subarray(0, draw(bytes.length)),
  'huge counts': (bytes, draw) => {
    // The numbers of tensors and of entries, or eight bytes anywhere, which are often a length.
    const at = [8, 16, 8 * draw(anatomy().dataAt >> 3)][draw(3)] ?? 8
    bytes.writeBigUInt64LE(2n ** BigInt(20 + draw(44)) - BigInt(draw(2)), at)
    return bytes
  },
  'metadata figures': (bytes, draw) => {
    const { figuresAt } = anatomy()
    const at = figuresAt[draw(figuresAt.length)] ?? 0
    bytes.writeUInt32LE(extremes[draw(extremes.length)] ?? 0, at)
    return bytes
  },
  'data flips': (bytes, draw) => flip(bytes, draw, anatomy().dataAt, bytes.length, 1 + draw(4_096)),
}

function flip(bytes: Buffer, draw: Draw, from: number, to: number, count: number): Buffer {
  for (let i = 0; i < count; i++) bytes[from + draw(to - from)] = draw(256)
  return bytes
}

/** The demo model, spoilt in one way; the same seed spoils it in the same way. */
export function hostileFile(seed: number): HostileFile {
  const kind = hostileKinds[seed % hostileKinds.length] ?? 'header bytes'
  const bytes = mutations[kind](Buffer.from(anatomy().bytes), drawFrom(seed))
  return { seed, kind, bytes }
}
