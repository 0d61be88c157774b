import type { Timers } from '../timers.ts'

/** One engine of the owner: an OpenAI-compatible server on this machine. */
export type EngineServer = {
  /** For example `http://127.0.0.1:11434/v1`. */
  readonly base: string
  readonly apiKey: string | null
}

/** Answers that are read whole: lists of models and errors. */
const answerBytesMax = 1024 * 1024

/**
 * Asks an engine. A redirect is an error and proxies are passed by, so that nothing leaves this machine. No connection
 * is used twice: an engine that was started anew meanwhile would break it. (Bun runs at most 256 requests of a process
 * at a time, BUN_CONFIG_MAX_HTTP_REQUESTS; the others wait for their turn.)
 * @throws what fetch throws when there is no connection
 */
export function engineFetch(
  { apiKey }: Pick<EngineServer, 'apiKey'>,
  url: string,
  signal: AbortSignal,
  body?: object,
): Promise<Response> {
  return fetch(url, {
    method: body === undefined ? 'GET' : 'POST',
    headers: {
      ...(apiKey !== null && { authorization: `Bearer ${apiKey}` }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
    signal,
    redirect: 'error',
    proxy: false,
    keepalive: false,
    // A slow prompt may keep an engine silent for longer than Bun's five minutes; the callers have their own deadlines.
    timeout: false,
  })
}

/**
 * Gets a JSON document within a deadline.
 * @returns the value, `status` of an answer that is none, or `problem` when there is no answer
 */
export async function engineJson(
  server: EngineServer,
  url: string,
  timers: Timers,
  deadlineMs: number,
): Promise<
  { readonly json: unknown } | { readonly status: number } | { readonly problem: string }
> {
  const abort = new AbortController()
  const cancelDeadline = timers.after(deadlineMs, () => abort.abort())
  try {
    const response = await engineFetch(server, url, abort.signal)
    if (!response.ok) return { status: response.status }
    return { json: JSON.parse(await readBounded(response)) }
  } catch (error) {
    if (abort.signal.aborted) return { problem: `no answer within ${deadlineMs / 1_000} s` }
    return { problem: error instanceof Error ? error.message : String(error) }
  } finally {
    cancelDeadline()
    abort.abort()
  }
}

/** @throws when the body is too long or breaks off */
export async function readBounded(response: Response): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const bytes of response.body ?? []) {
    text += decoder.decode(bytes, { stream: true })
    if (text.length > answerBytesMax)
      throw new Error(`an answer of more than ${answerBytesMax} bytes`)
  }
  return text + decoder.decode()
}
