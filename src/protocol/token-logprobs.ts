import { limits } from './limits.ts'

/** How likely a token was: the natural logarithm of its probability, before temperature, penalties, biases and grammars. */
export type TokenLogprob = {
  readonly logprob: number
  /** What the token adds to the text; the server has no vocabulary. */
  readonly bytes: Uint8Array
}

/** The drawn token's, and those of the likeliest ones in its place, likeliest first. */
export type DrawnLogprob = TokenLogprob & { readonly top: readonly TokenLogprob[] }

const entryHeaderBytes = 6
const countBytes = 1

/*
 * Layout, behind a token frame's segments (little-endian):
 *
 *     f32 logarithm, u16 number of bytes, bytes      the drawn token
 *     u8  number of alternatives
 *     f32 logarithm, u16 number of bytes, bytes      each of them
 */

/** Bytes that it takes in a frame. */
export const logprobBytes = ({ bytes, top }: DrawnLogprob): number =>
  top.reduce(
    (sum, other) => sum + entryHeaderBytes + other.bytes.length,
    entryHeaderBytes + bytes.length + countBytes,
  )

/** @param at where the frame has room for `logprobBytes` */
export function encodeLogprob(bytes: Uint8Array, view: DataView, at: number, drawn: DrawnLogprob) {
  let next = encodeEntry(bytes, view, at, drawn)
  view.setUint8(next, drawn.top.length)
  next += countBytes
  for (const entry of drawn.top) next = encodeEntry(bytes, view, next, entry)
}

function encodeEntry(bytes: Uint8Array, view: DataView, at: number, entry: TokenLogprob): number {
  view.setFloat32(at, entry.logprob, true)
  view.setUint16(at + 4, entry.bytes.length, true)
  bytes.set(entry.bytes, at + entryHeaderBytes)
  return at + entryHeaderBytes + entry.bytes.length
}

/** @returns what lies there (a copy), or a text that says what is wrong with it */
export function decodeLogprob(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  end: number,
): DrawnLogprob | string {
  const drawn = decodeEntry(bytes, view, at, end)
  if (typeof drawn === 'string') return drawn
  let next = at + entryHeaderBytes + drawn.bytes.length
  if (next + countBytes > end) return pastEnd
  const count = view.getUint8(next)
  if (count > limits.topLogprobsMax)
    return `${count} alternatives to a token are over the limit of ${limits.topLogprobsMax}`
  next += countBytes
  const top: TokenLogprob[] = []
  for (let i = 0; i < count; i++) {
    const entry = decodeEntry(bytes, view, next, end)
    if (typeof entry === 'string') return entry
    top.push(entry)
    next += entryHeaderBytes + entry.bytes.length
  }
  return { ...drawn, top }
}

function decodeEntry(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  end: number,
): TokenLogprob | string {
  const textStart = at + entryHeaderBytes
  if (textStart > end) return pastEnd
  const textEnd = textStart + view.getUint16(at + 4, true)
  if (textEnd > end) return pastEnd
  const logprob = view.getFloat32(at, true)
  if (!(logprob <= 0 && logprob > -Infinity)) return `${logprob} is no logarithm of a probability`
  return { logprob, bytes: bytes.slice(textStart, textEnd) }
}

const pastEnd = 'a log probability goes past the end of the frame'
