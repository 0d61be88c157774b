import { errorMeanings, type Failure } from '../../protocol/errors.ts'

export type ServeFileOptions = {
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
}

/**
 * Answers with a file, or with the end of it for `Range: bytes=N-`, as resumed downloads send it; any other form gets
 * the whole file, as RFC 9110 allows.
 */
export async function serveFile(
  request: Request,
  { path, headers = {} }: ServeFileOptions,
): Promise<Response> {
  const file = Bun.file(path)
  if (!(await file.exists()))
    return failureResponse({ code: 'not_found', message: 'the file has gone from the server' })
  const start = Number(/^bytes=(\d{1,15})-$/.exec(request.headers.get('range') ?? '')?.[1] ?? 0)
  // Another file than the one that was begun: from its beginning.
  const condition = request.headers.get('if-range')
  const changed = condition !== null && condition !== headers['etag']
  const shared = { 'accept-ranges': 'bytes', ...headers }
  if (start === 0 || changed) return new Response(file, { headers: shared })
  if (start >= file.size)
    return new Response(null, {
      status: 416,
      headers: { ...shared, 'content-range': `bytes */${file.size}` },
    })
  return new Response(file.slice(start), {
    status: 206,
    headers: { ...shared, 'content-range': `bytes ${start}-${file.size - 1}/${file.size}` },
  })
}

/** How this listener says no: the failure itself, with the status that belongs to it. */
export const failureResponse = (error: Failure): Response =>
  Response.json({ error }, { status: errorMeanings[error.code].httpStatus })
