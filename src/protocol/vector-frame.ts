import { limits } from './limits.ts'

/**
 * The vector of one input on its way from worker to server.
 *
 * Layout (little-endian); stream and attempt lie where a token frame has them:
 *
 *     0  u8   frame type, 3
 *     1  u8   0
 *     2  u16  attempt
 *     4  u32  stream
 *     8  u32  index of the input in the job, from 0
 *    12  u32  tokens of the input, those that the model wants around it included
 *    16  u32  number of values
 *    20  f32  each value
 *     …  0+ bytes for future use, ignored
 */
export type VectorFrame = {
  readonly type: 'vector'
  readonly stream: number
  readonly attempt: number
  readonly index: number
  readonly promptTokens: number
  readonly values: Float32Array
}

export const frameTypeVector = 3
const headerBytes = 20
export const valueBytes = 4

/** @returns a fresh buffer with the frame; the caller owns it. */
export function encodeVectorFrame(frame: Omit<VectorFrame, 'type'>): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(headerBytes + frame.values.length * valueBytes)
  const view = new DataView(bytes.buffer)
  view.setUint8(0, frameTypeVector)
  view.setUint16(2, frame.attempt, true)
  view.setUint32(4, frame.stream, true)
  view.setUint32(8, frame.index, true)
  view.setUint32(12, frame.promptTokens, true)
  view.setUint32(16, frame.values.length, true)
  frame.values.forEach((value, i) => {
    view.setFloat32(headerBytes + i * valueBytes, value, true)
  })
  return bytes
}

/**
 * Reads the frame that lies between two places of a message, without trusting it.
 * @param view of the message
 * @returns the frame, or a text that says what is wrong with the bytes
 */
export function decodeVectorFrame(
  view: DataView,
  start: number,
  end: number,
): VectorFrame | string {
  const length = end - start
  if (length < headerBytes) return `a vector frame of ${length} bytes is shorter than its header`
  const count = view.getUint32(start + 16, true)
  if (count > limits.embeddingDimensionsMax)
    return `a vector of ${count} values is over the limit of ${limits.embeddingDimensionsMax}`
  if (length < headerBytes + count * valueBytes) return 'a vector goes past the end of its frame'
  const values = new Float32Array(count)
  for (let i = 0; i < count; i++)
    values[i] = view.getFloat32(start + headerBytes + i * valueBytes, true)
  return {
    type: 'vector',
    attempt: view.getUint16(start + 2, true),
    stream: view.getUint32(start + 4, true),
    index: view.getUint32(start + 8, true),
    promptTokens: view.getUint32(start + 12, true),
    values,
  }
}
