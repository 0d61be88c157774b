import { limits } from './limits.ts'
import { decodeLogprob, encodeLogprob, logprobBytes, type DrawnLogprob } from './token-logprobs.ts'

/**
 * One sampled token on its way from worker to client, and the text that it released.
 *
 * Layout (little-endian):
 *
 *     0  u8   frame type, 1
 *     1  u8   flags: bit 0 = a token id is present; bit 1 = a token without an id; neither: only text, see below;
 *             bit 2 = its log probability follows the segments (feature `logprobs`, only where the job asks for it)
 *     2  u16  attempt
 *     4  u32  stream
 *     8  u16  choice
 *    10  u16  number of segments
 *    12  u32  index of the token in the answer, from 0; without a token: the number of tokens before
 *    16  u32  token id, 0 without a token
 *    20  segments: u8 kind, u32 byte length, UTF-8 text
 *     …  log probability: token-logprobs.ts
 *     …  0+ bytes for future use, ignored
 *
 * Ids go out at once, also while their text is held back (an unfinished UTF-8 character, a possible stop string), so
 * a frame often has no segment. A frame without a token carries text that is released without one: what was held back
 * when the answer ends, or what a continuation still owes the client before it goes on. One token can release several
 * segments, for example the end of the reasoning and the beginning of the answer.
 *
 * A token without an id counts like any other, but an answer of such tokens cannot be continued: an engine that the owner
 * runs beside the agent tells texts and no ids.
 */
export type TokenFrame = {
  readonly type: 'token'
  readonly stream: number
  readonly attempt: number
  readonly choice: number
  /** Position of the token in the answer, from 0. Without a token: the number of tokens before. */
  readonly index: number
  /** Null: no token, only text. */
  readonly tokenId: number | 'unknown' | null
  readonly segments: readonly Segment[]
  readonly logprob?: DrawnLogprob
}

/**
 * A piece of output. `tool_call` text is the JSON of one `ToolCallDelta`; the others are plain text.
 */
export type Segment = { readonly kind: SegmentKind; readonly text: string }
export type SegmentKind = 'answer' | 'reasoning' | 'tool_call'

/** Part of a tool call, in OpenAI's manner: the first part of a call has id and name, later ones add to `arguments`. */
export type ToolCallDelta = {
  readonly index: number
  readonly id?: string
  readonly name?: string
  readonly arguments: string
}

export const frameTypeToken = 1
const flagToken = 1
const flagUnknownToken = 2
const flagLogprob = 4
const headerBytes = 20
const segmentHeaderBytes = 5
const kinds: readonly SegmentKind[] = ['answer', 'reasoning', 'tool_call']

const encoder = new TextEncoder()
/** `ignoreBOM` keeps a leading U+FEFF: it is a character of the answer like any other. */
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** @returns a fresh buffer with the frame; the caller owns it. */
export function encodeTokenFrame(frame: Omit<TokenFrame, 'type'>): Uint8Array<ArrayBuffer> {
  let size = headerBytes
  for (const segment of frame.segments) size += segmentHeaderBytes + Buffer.byteLength(segment.text)
  const { tokenId, logprob } = frame
  const textEnd = size
  if (logprob !== undefined) size += logprobBytes(logprob)
  const bytes = new Uint8Array(size)
  const view = new DataView(bytes.buffer)
  view.setUint8(0, frameTypeToken)
  const tokenFlag = tokenId === null ? 0 : tokenId === 'unknown' ? flagUnknownToken : flagToken
  view.setUint8(1, logprob === undefined ? tokenFlag : tokenFlag | flagLogprob)
  view.setUint16(2, frame.attempt, true)
  view.setUint32(4, frame.stream, true)
  view.setUint16(8, frame.choice, true)
  view.setUint16(10, frame.segments.length, true)
  view.setUint32(12, frame.index, true)
  view.setUint32(16, typeof tokenId === 'number' ? tokenId : 0, true)
  let at = headerBytes
  for (const segment of frame.segments) {
    const { written } = encoder.encodeInto(segment.text, bytes.subarray(at + segmentHeaderBytes))
    view.setUint8(at, kinds.indexOf(segment.kind))
    view.setUint32(at + 1, written, true)
    at += segmentHeaderBytes + written
  }
  if (logprob !== undefined) encodeLogprob(bytes, view, textEnd, logprob)
  return bytes
}

/**
 * Reads the frame that lies between two places of a message, without trusting it.
 * @param view of the same bytes; one serves all frames of a message
 * @returns the frame, or a text that says what is wrong with the bytes
 */
export function decodeTokenFrame(
  bytes: Uint8Array,
  view: DataView,
  start: number,
  end: number,
): TokenFrame | string {
  const length = end - start
  if (length > limits.tokenFrameBytesMax)
    return `a frame of ${length} bytes is over the limit of ${limits.tokenFrameBytesMax}`
  if (length < headerBytes) return `a frame of ${length} bytes is shorter than its header`
  const frameType = view.getUint8(start)
  if (frameType !== frameTypeToken) return `frame type ${frameType} is unknown`
  const count = view.getUint16(start + 10, true)
  const segments = count === 0 ? noSegments : decodeSegments(bytes, view, start, end)
  if (typeof segments === 'string') return segments
  const frame: TokenFrame = {
    type: 'token',
    attempt: view.getUint16(start + 2, true),
    stream: view.getUint32(start + 4, true),
    choice: view.getUint16(start + 8, true),
    index: view.getUint32(start + 12, true),
    tokenId: tokenIdOf(view, start),
    segments,
  }
  if ((view.getUint8(start + 1) & flagLogprob) === 0) return frame
  const logprob = decodeLogprob(bytes, view, segmentsEnd(view, start), end)
  return typeof logprob === 'string' ? logprob : { ...frame, logprob }
}

/** Of segments that were decoded, so all of them are there. */
function segmentsEnd(view: DataView, start: number): number {
  let at = start + headerBytes
  for (let left = view.getUint16(start + 10, true); left > 0; left--)
    at += segmentHeaderBytes + view.getUint32(at + 1, true)
  return at
}

function tokenIdOf(view: DataView, start: number): TokenFrame['tokenId'] {
  const flags = view.getUint8(start + 1)
  if ((flags & flagToken) !== 0) return view.getUint32(start + 16, true)
  return (flags & flagUnknownToken) === 0 ? null : 'unknown'
}

function decodeSegments(
  bytes: Uint8Array,
  view: DataView,
  start: number,
  end: number,
): readonly Segment[] | string {
  const count = view.getUint16(start + 10, true)
  const segments: Segment[] = []
  let at = start + headerBytes
  for (let i = 0; i < count; i++) {
    if (at + segmentHeaderBytes > end) return 'a segment header goes past the end of the frame'
    const kind = kinds[view.getUint8(at)]
    if (kind === undefined) return `segment kind ${view.getUint8(at)} is unknown`
    const textStart = at + segmentHeaderBytes
    at = textStart + view.getUint32(at + 1, true)
    if (at > end) return 'a segment goes past the end of the frame'
    const text = decodeText(bytes, textStart, at)
    if (text === null) return 'a segment is not valid UTF-8'
    segments.push({ kind, text })
  }
  return segments
}

/** @returns null when the bytes are no UTF-8 */
function decodeText(bytes: Uint8Array, start: number, end: number): string | null {
  // A token's text is a few ASCII letters; read like this it costs a third of the decoder and its view, and it is one flat
  // string, not a chain of letters that whoever reads it first has to put together.
  if (end - start <= asciiLoopBytesMax) {
    let at = start
    while (at < end && (bytes[at] ?? notAscii) < notAscii) at++
    if (at === end) return latin1Slice.call(bytes, start, end)
  }
  try {
    return decoder.decode(bytes.subarray(start, end))
  } catch {
    return null
  }
}

/** Of any array of bytes, not only of a Buffer. */
const { latin1Slice } = Buffer.prototype as unknown as {
  latin1Slice: (this: Uint8Array, start: number, end: number) => string
}
const asciiLoopBytesMax = 32
const notAscii = 0x80
const noSegments: readonly Segment[] = Object.freeze([])
