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
  if (Number(request.headers.get('content-length') ?? 0) > bodyBytesMax)
    return tooLarge(bodyBytesMax)
  const bytes = await readBytes(request, bodyBytesMax)
  if (bytes === null) return tooLarge(bodyBytesMax)
  if (bytes.length === 0 && whenEmpty !== undefined) return { json: whenEmpty }
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
