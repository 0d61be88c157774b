import { limits } from '../../protocol/limits.ts'

/**
 * What agent and worker say to each other over the worker's stdin and stdout: frames, one after the other.
 *
 *     0  u32  length of what follows, little-endian
 *     4  u8   kind: 0 = a JSON message (worker-message.ts), 1 = a token frame (protocol/token-frame.ts)
 *     5  …    payload
 */
export type Frame = { readonly kind: FrameKind; readonly payload: Uint8Array<ArrayBuffer> }
export type FrameKind = typeof frameKindJson | typeof frameKindToken

export const frameKindJson = 0
export const frameKindToken = 1

const lengthBytes = 4
const kindBytes = 1
/** A control message is the largest thing that travels; a job is one of those. */
export const framePayloadBytesMax = limits.controlMessageBytesMax

const encoder = new TextEncoder()

/** @returns a fresh buffer with the frame around a copy of the payload */
export function encodeFrame(kind: FrameKind, payload: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(lengthBytes + kindBytes + payload.length)
  new DataView(bytes.buffer).setUint32(0, kindBytes + payload.length, true)
  bytes[lengthBytes] = kind
  bytes.set(payload, lengthBytes + kindBytes)
  return bytes
}

export const encodeJsonFrame = (message: object): Uint8Array<ArrayBuffer> =>
  encodeFrame(frameKindJson, encoder.encode(JSON.stringify(message)))

/**
 * Cuts a byte stream into frames, whatever pieces it comes in. Holds at most one unfinished frame. A payload that lies
 * whole in one chunk is a view of that chunk, not a copy.
 */
export class FrameReader {
  #held: Uint8Array<ArrayBuffer> = new Uint8Array(0)
  #heldBytes = 0

  /**
   * Calls `onFrame` for each frame that the chunk completes.
   * @returns null, or a text that says what is wrong; nothing after it can be trusted
   */
  push(chunk: Uint8Array<ArrayBuffer>, onFrame: (frame: Frame) => void): string | null {
    let at = 0
    while (this.#heldBytes > 0 && at < chunk.length) {
      const wanted = this.#wanted()
      if (typeof wanted === 'string') return wanted
      const taken = Math.min(wanted - this.#heldBytes, chunk.length - at)
      this.#hold(chunk.subarray(at, at + taken), wanted)
      at += taken
      const complete = this.#wanted()
      if (typeof complete === 'string') return complete
      if (this.#heldBytes < lengthBytes + kindBytes || this.#heldBytes < complete) continue
      const whole = this.#held
      this.#held = new Uint8Array(0)
      this.#heldBytes = 0
      const problem = emit(whole, 0, complete, onFrame)
      if (problem !== null) return problem
    }
    while (chunk.length - at >= lengthBytes) {
      const end = frameEnd(chunk, at)
      if (typeof end === 'string') return end
      if (end > chunk.length) break
      const problem = emit(chunk, at, end, onFrame)
      if (problem !== null) return problem
      at = end
    }
    if (at < chunk.length) this.#hold(chunk.subarray(at), lengthBytes)
    return null
  }

  /** Bytes of an unfinished frame; not 0 at the end of the stream means that it was cut. */
  get pendingBytes(): number {
    return this.#heldBytes
  }

  /** Bytes the held frame needs in all, as far as is known: its length first, then everything. */
  #wanted(): number | string {
    return this.#heldBytes < lengthBytes ? lengthBytes : frameEnd(this.#held, 0)
  }

  #hold(piece: Uint8Array<ArrayBuffer>, capacity: number): void {
    const needed = Math.max(capacity, this.#heldBytes + piece.length)
    if (needed > this.#held.length) {
      const larger = new Uint8Array(needed)
      larger.set(this.#held.subarray(0, this.#heldBytes))
      this.#held = larger
    }
    this.#held.set(piece, this.#heldBytes)
    this.#heldBytes += piece.length
  }
}

function frameEnd(bytes: Uint8Array<ArrayBuffer>, at: number): number | string {
  const length = new DataView(bytes.buffer, bytes.byteOffset + at).getUint32(0, true)
  if (length < kindBytes) return 'a frame without a kind'
  if (length > kindBytes + framePayloadBytesMax)
    return `a frame of ${length} bytes is over the limit of ${framePayloadBytesMax}`
  return at + lengthBytes + length
}

function emit(
  bytes: Uint8Array<ArrayBuffer>,
  start: number,
  end: number,
  onFrame: (frame: Frame) => void,
): string | null {
  const kind = bytes[start + lengthBytes]
  if (kind !== frameKindJson && kind !== frameKindToken) return `frame kind ${kind} is unknown`
  onFrame({ kind, payload: bytes.subarray(start + lengthBytes + kindBytes, end) })
  return null
}
