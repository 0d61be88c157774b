import type { Inference, InferenceEvent, InferenceRequest } from '../inference.ts'

/** Who hears of a submitted request. An object and not closures: each of those is two more cold objects a token. */
export type CompletionListener = {
  readonly heard: (choice: number, event: InferenceEvent) => void
  /** The client hung up; no event follows. */
  readonly hungUp: () => void
}

/**
 * One submitted request, tied to the life of its client: whoever stops it first (the client's connection, the reader
 * of its stream, the writer of the answer) cancels it in the pool, exactly once, and nothing is heard of it after.
 */
export class CompletionRun {
  readonly #choice: number
  readonly #listener: CompletionListener
  readonly #signal: AbortSignal
  #handle: { readonly cancel: () => void } | null = null
  #over = false
  #stoppedEarly = false

  /**
   * @param signal of the client's request
   * @param choice which of its answers this is
   */
  constructor(signal: AbortSignal, choice: number, listener: CompletionListener) {
    this.#signal = signal
    this.#choice = choice
    this.#listener = listener
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
      this.#listener.heard(this.#choice, event)
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
    this.#listener.hungUp()
  }

  #end(): void {
    this.#over = true
    this.#signal.removeEventListener('abort', this.#hungUp)
  }
}
