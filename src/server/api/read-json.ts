import type { ApiFailure } from '../http-error.ts'

/**
 * The body of a request as JSON, read no further than the limit.
 * @param whenEmpty what a request without a body means; left out, it is refused
 * @returns the parsed value in a box (it may be null itself), or what is wrong. The message never quotes the body: the
 * parser's own text does, and would carry a piece of a prompt into logs.
 */
export async function readJson(
  request: Request,
  bodyBytesMax: number,
  whenEmpty?: object,
): Promise<{ readonly json: unknown } | ApiFailure> {
  const length = request.headers.get('content-length')
  if (Number(length ?? 0) > bodyBytesMax) return tooLarge(bodyBytesMax)
  // With a length the body has that length and no more, and Bun reads it whole; pieces cost a first token 50 µs.
  const bytes = length === null ? await readBytes(request, bodyBytesMax) : await request.bytes()
  if (bytes === null) return tooLarge(bodyBytesMax)
  if (bytes.length === 0 && whenEmpty !== undefined) return { json: whenEmpty }
  if (nestingOf(bytes) > jsonDepthMax)
    return {
      code: 'invalid_request',
      message: `The body of the request is nested deeper than ${jsonDepthMax} levels.`,
    }
  try {
    return { json: JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) }
  } catch {
    const message =
      bytes.length === 0
        ? 'The request has no body; it must be a JSON object.'
        : 'The body of the request is not valid JSON.'
    return { code: 'invalid_request', message }
  }
}

/**
 * Objects and arrays inside each other. JSON.parse takes any depth, but JSON.stringify of what it made overflows the
 * stack from some ten thousand on, and so do chat templates; no honest schema comes near this.
 */
const jsonDepthMax = 128

/** The deepest nesting of brackets outside strings, without parsing; on text that is no JSON it says anything. */
function nestingOf(bytes: Uint8Array): number {
  let depth = 0
  let deepest = 0
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]
    if (byte === quote) at = endOfString(bytes, at)
    else if (byte === openBrace || byte === openBracket) deepest = Math.max(deepest, ++depth)
    else if (byte === closeBrace || byte === closeBracket) depth--
  }
  return deepest
}

/** @returns the index of the closing quote, or the end */
function endOfString(bytes: Uint8Array, start: number): number {
  for (let at = start + 1; ; at++) {
    at = bytes.indexOf(quote, at)
    if (at === -1) return bytes.length
    let backslashes = 0
    while (bytes[at - 1 - backslashes] === backslash) backslashes++
    if (backslashes % 2 === 0) return at
  }
}

const [quote, backslash, openBrace, closeBrace, openBracket, closeBracket] = [
  0x22, 0x5c, 0x7b, 0x7d, 0x5b, 0x5d,
] as const

async function readBytes(request: Request, bodyBytesMax: number): Promise<Uint8Array | null> {
  if (request.body === null) return new Uint8Array()
  const pieces: Uint8Array[] = []
  let size = 0
  for await (const piece of request.body) {
    size += piece.length
    if (size > bodyBytesMax) return null
    pieces.push(piece)
  }
  return Buffer.concat(pieces, size)
}

const tooLarge = (bodyBytesMax: number): ApiFailure => ({
  code: 'payload_too_large',
  message: `The body of the request is over the limit of ${bodyBytesMax} bytes.`,
})
