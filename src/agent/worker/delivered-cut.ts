import type { Segment } from '../../protocol/token-frame.ts'

/**
 * Takes away what the client already has.
 * @param deliveredBytes see `Continuation`
 * @returns null when the segments do not reach that far, or when the cut goes through a character or a tool call:
 * the client then got something that this answer does not contain
 */
export function cutDelivered(
  segments: readonly Segment[],
  deliveredBytes: number,
): readonly Segment[] | null {
  let left = deliveredBytes
  const rest: Segment[] = []
  for (const segment of segments) {
    const bytes = Buffer.byteLength(segment.text)
    if (left >= bytes) {
      left -= bytes
      continue
    }
    if (left > 0) {
      if (segment.kind === 'tool_call') return null
      const tail = Buffer.from(segment.text).subarray(left)
      if (isContinuationByte(tail[0])) return null
      rest.push({ kind: segment.kind, text: tail.toString('utf8') })
      left = 0
    } else rest.push(segment)
  }
  return left === 0 ? rest : null
}

const isContinuationByte = (byte: number | undefined): boolean =>
  byte !== undefined && (byte & 0b1100_0000) === 0b1000_0000
