/** Text that waits for a client that does not read; beyond it the client is given up. In UTF-16 units. */
export const waitingTextUnitsMax = 1024 * 1024

/**
 * The body of a response whose text is written as it comes: what is written in one round of the event loop leaves at
 * its end, in one system call, without a promise or a copy of its own. (Of three ways measured on 300 streams, `pull`
 * cost 3 µs a token more, and `start` + `enqueue` accepts everything: 512 MiB of 512 MiB offered were buffered for a
 * client that did not read.)
 *
 * It is bounded all the same. Bun answers a write that the kernel's buffers had no room for with a promise; until that
 * is settled nothing more is given to Bun, and what comes meanwhile waits here, up to `waitingTextUnitsMax`.
 */
export class TextStream {
  readonly body: ReadableStream
  readonly #onGone: () => void
  readonly #ended = Promise.withResolvers<void>()
  #sink: ReadableStreamDirectController | null = null
  /** The kernel's buffers are full: the client does not read as fast as the answer comes. */
  #stalled = false
  #waiting = ''
  #state: 'open' | 'closing' | 'over' = 'open'
  #cutReason: string | null = null

  /** @param onGone the client is gone, or was cut off because it does not read; called at most once */
  constructor(onGone: () => void) {
    this.#onGone = onGone
    this.body = new ReadableStream({
      type: 'direct',
      pull: sink => {
        if (this.#cutReason !== null) sink.close(new Error(this.#cutReason))
        else {
          this.#sink = sink
          this.#give()
          // In one piece with the response's head. Later, Bun sends by itself what a round of its event loop wrote.
          if (!this.#stalled) void sink.flush()
        }
        // The stream is open until this is settled.
        return this.#ended.promise
      },
      cancel: () => {
        if (this.#state === 'over') return
        this.#over()
        onGone()
      },
    })
  }

  /** Whether what was written last has left. */
  get idle(): boolean {
    return !this.#stalled && this.#waiting === ''
  }

  write(text: string): void {
    if (this.#state !== 'open') return
    this.#waiting += text
    if (this.#waiting.length > waitingTextUnitsMax) {
      this.cut('the client did not read the answer')
      this.#onGone()
    } else this.#give()
  }

  /** Ends the response when everything written is with the client's kernel. */
  close(): void {
    if (this.#state !== 'open') return
    this.#state = 'closing'
    this.#give()
  }

  /** Breaks the connection off, so that the client cannot take what it has for the whole. */
  cut(reason: string): void {
    if (this.#state === 'over') return
    const sink = this.#sink
    this.#cutReason = reason
    this.#over()
    sink?.close(new Error(reason))
  }

  #give(): void {
    const sink = this.#sink
    if (sink === null || this.#stalled) return
    if (this.#waiting !== '') {
      const written = sink.write(this.#waiting)
      this.#waiting = ''
      if (typeof written !== 'number') {
        this.#stalled = true
        void written.then(() => {
          this.#stalled = false
          this.#give()
        })
        return
      }
    }
    if (this.#state === 'closing') {
      this.#over()
      sink.close()
    }
  }

  #over(): void {
    this.#state = 'over'
    this.#waiting = ''
    this.#sink = null
    this.#ended.resolve()
  }
}
