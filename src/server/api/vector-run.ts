import type { EmbedEvent, EmbedRequest, Inference } from '../inference.ts'

/**
 * Submits a request for vectors, tied to the life of its client.
 * @param signal of the client's request; when it hangs up, the request is cancelled in the pool
 * @returns how the request ended; null: the client is gone
 */
export function runVectors(
  inference: Inference,
  request: EmbedRequest,
  signal: AbortSignal,
): Promise<EmbedEvent | null> {
  // A client can be gone before its body is parsed.
  if (signal.aborted) return Promise.resolve(null)
  const { promise, resolve } = Promise.withResolvers<EmbedEvent | null>()
  let over = false
  const { cancel } = inference.submitEmbed(request, event => {
    over = true
    signal.removeEventListener('abort', hungUp)
    resolve(event)
  })
  function hungUp() {
    if (over) return
    over = true
    cancel()
    resolve(null)
  }
  if (!over) signal.addEventListener('abort', hungUp, { once: true })
  return promise
}
