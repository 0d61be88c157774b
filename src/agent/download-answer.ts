import type { Failure } from '../protocol/errors.ts'

/** What a source's answer means for a download. */
export type Verdict =
  /** The body begins here in the file; 0 also where the server ignored the range. */
  | { readonly type: 'body'; readonly start: number }
  /** This source will not have the file however often it is asked. */
  | { readonly type: 'given_up'; readonly error: Failure }
  /** Worth another attempt. */
  | { readonly type: 'broken_off'; readonly reason: string }

const retried: ReadonlySet<number> = new Set([408, 425, 429])

/** Judges status and headers before a byte is written. Lengths that are said must fit; they need not be said. */
export function judgeAnswer(
  { status, headers }: Pick<Response, 'status' | 'headers'>,
  offset: number,
  sizeBytes: number,
): Verdict {
  const length = headers.get('content-length')
  if (status === 200) {
    if (length !== null && Number(length) !== sizeBytes)
      return invalid(`the source has ${length} bytes, the catalogue says ${sizeBytes}`)
    return { type: 'body', start: 0 }
  }
  if (status === 206) return judgeRange(headers.get('content-range'), length, offset, sizeBytes)
  // The bytes behind what is there: none, so the source's file is shorter.
  if (status === 416) return invalid(`the source has fewer than ${sizeBytes} bytes`)
  if (retried.has(status) || status >= 500)
    return { type: 'broken_off', reason: `the source answers ${status}` }
  return givenUp(`the source answers ${status}`)
}

function judgeRange(
  contentRange: string | null,
  length: string | null,
  offset: number,
  sizeBytes: number,
): Verdict {
  const range = /^bytes (\d{1,16})-(\d{1,16})\/(\d{1,16}|\*)$/.exec(contentRange ?? '')
  const [, first, last, total] = range ?? []
  if (offset === 0 || Number(first) !== offset)
    return givenUp('the source answers ranges with other ranges')
  if (total !== '*' && Number(total) !== sizeBytes)
    return invalid(`the source has ${total} bytes, the catalogue says ${sizeBytes}`)
  // A server may send less than was asked for, but not more than there is, nor another length than its range.
  const wrong = Number(last) < offset || Number(last) >= sizeBytes
  if (wrong || (length !== null && Number(length) !== Number(last) - offset + 1))
    return givenUp('the source contradicts itself about the range that it sends')
  return { type: 'body', start: offset }
}

const givenUp = (message: string): Verdict => ({
  type: 'given_up',
  error: { code: 'model_load_failed', message },
})

const invalid = (message: string): Verdict => ({
  type: 'given_up',
  error: { code: 'model_file_invalid', message },
})
