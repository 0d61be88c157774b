import type { Inference, InferenceEvent, InferenceRequest } from '../inference.ts'

/**
 * One submitted request, tied to the life of its client: whoever stops it first (the client's connection, the reader
 * of its stream, the writer of the answer) cancels it in the pool, exactly once, and nothing is heard of it after.
 */
export class CompletionRun {
  readonly #onEvent: (event: InferenceEvent) => void
  readonly #onGone: () => void
  readonly #signal: AbortSignal
  #handle: { readonly cancel: () => void } | null = null
  #over = false
  #stoppedEarly = false

  /**
   * @param signal of the client's request
   * @param onGone the client hung up; no event follows
   */
  constructor(signal: AbortSignal, onEvent: (event: InferenceEvent) => void, onGone: () => void) {
    this.#signal = signal
    this.#onEvent = onEvent
    this.#onGone = onGone
  }

  start(inference: Inference, request: InferenceRequest): void {
    // A client can be gone before its body is parsed.
    if (this.#signal.aborted) {
      this.#hungUp()
      return
    }
    this.#signal.addEventListener('abort', this.#hungUp, { once: true })
    const handle = inference.submit(request, event => {
      if (this.#over) return
      if (event.type === 'finished' || event.type === 'failed') this.#end()
      this.#onEvent(event)
    })
    this.#handle = handle
    // Stopped from within `submit`, before there was a handle to cancel.
    if (this.#stoppedEarly) handle.cancel()
  }

  /** Frees the slot. Does nothing when the request is over. */
  cancel(): void {
    if (this.#over) return
    this.#end()
    if (this.#handle === null) this.#stoppedEarly = true
    else this.#handle.cancel()
  }

  readonly #hungUp = (): void => {
    if (this.#over) return
    this.cancel()
    this.#onGone()
  }

  #end(): void {
    this.#over = true
    this.#signal.removeEventListener('abort', this.#hungUp)
  }
}
