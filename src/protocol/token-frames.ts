import { limits } from './limits.ts'
import { decodeTokenFrame, frameTypeToken, type TokenFrame } from './token-frame.ts'
import { decodeVectorFrame, frameTypeVector, type VectorFrame } from './vector-frame.ts'

/**
 * What one binary message brings: one token frame or vector frame as it is, or several behind each other (feature
 * `frames`).
 *
 * Layout of several (little-endian):
 *
 *     0  u8   frame type, 2
 *     1  for each frame: u32 byte length, the frame (token-frame.ts, vector-frame.ts)
 *
 * A message costs the server a TLS record, a WebSocket frame and a buffer, however little is in it. An engine that
 * computes many answers at once has many tokens at once.
 */
export type TokenFrames = {
  readonly type: 'tokens'
  readonly frames: readonly (TokenFrame | VectorFrame)[]
}

const frameTypeFrames = 2
const typeBytes = 1
const lengthBytes = 4

/**
 * @param frames encoded token frames, in order
 * @returns the message: the frame itself when there is one, else a fresh buffer
 */
export function joinTokenFrames(
  frames: readonly [Uint8Array<ArrayBuffer>, ...Uint8Array<ArrayBuffer>[]],
): Uint8Array<ArrayBuffer> {
  if (frames.length === 1) return frames[0]
  let size = typeBytes
  for (const frame of frames) size += lengthBytes + frame.length
  const bytes = new Uint8Array(size)
  const view = new DataView(bytes.buffer)
  bytes[0] = frameTypeFrames
  let at = typeBytes
  for (const frame of frames) {
    view.setUint32(at, frame.length, true)
    bytes.set(frame, at + lengthBytes)
    at += lengthBytes + frame.length
  }
  return bytes
}

/**
 * Reads a binary message without trusting it.
 * @returns its frames, or a text that says what is wrong with the bytes
 */
export function decodeTokenFrames(bytes: Uint8Array): TokenFrames | string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  switch (bytes[0]) {
    case undefined:
      return 'an empty message'
    case frameTypeToken:
    case frameTypeVector: {
      const frame = decodeFrame(bytes, view, 0, bytes.length)
      return typeof frame === 'string' ? frame : { type: 'tokens', frames: [frame] }
    }
    case frameTypeFrames:
      return decodeSeveral(bytes, view)
    default:
      return `frame type ${bytes[0]} is unknown`
  }
}

function decodeFrame(
  bytes: Uint8Array,
  view: DataView,
  start: number,
  end: number,
): TokenFrame | VectorFrame | string {
  const isVector = end > start && view.getUint8(start) === frameTypeVector
  return isVector ? decodeVectorFrame(view, start, end) : decodeTokenFrame(bytes, view, start, end)
}

function decodeSeveral(bytes: Uint8Array, view: DataView): TokenFrames | string {
  if (bytes.length > limits.tokenFramesBytesMax)
    return `frames of ${bytes.length} bytes together are over the limit of ${limits.tokenFramesBytesMax}`
  const frames: (TokenFrame | VectorFrame)[] = []
  let at = typeBytes
  while (at < bytes.length) {
    if (at + lengthBytes > bytes.length) return 'a frame length goes past the end of the message'
    const start = at + lengthBytes
    at = start + view.getUint32(at, true)
    if (at > bytes.length) return 'a frame goes past the end of the message'
    const frame = decodeFrame(bytes, view, start, at)
    if (typeof frame === 'string') return frame
    frames.push(frame)
  }
  return { type: 'tokens', frames }
}
