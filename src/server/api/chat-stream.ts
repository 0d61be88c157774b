import type { Clock, Instant } from '../../clock.ts'
import { errorResponse, withoutInnerDetails, type ApiFailure } from '../http-error.ts'
import type { Inference, InferenceEvent, InferenceRequest } from '../inference.ts'
import { ChatChunkWriter, doneLine, keepAliveLine } from './chat-chunk-writer.ts'
import { CompletionRun } from './completion-run.ts'
import type { StartTimer } from './timer.ts'

/** Silence towards the client after which a comment is sent, and after which headers go out without a first event. */
export const keepAliveIntervalMs = 10_000
/** Output that waits for a client that does not read; above it the client is given up. In UTF-16 units. */
export const waitingOutputUnitsMax = 1024 * 1024

type Deps = {
  readonly inference: Inference
  readonly clock: Clock
  readonly startTimer: StartTimer
}

/**
 * Answers a request with server-sent events.
 *
 * Events from the pool are turned into text at once and wait in one string; `pull` takes all of it. So a client that
 * does not read costs that string and no more, several tokens that arrive together leave in one write, and there is
 * neither an object nor a promise per token. (`start` + `enqueue` would accept everything: 512 MiB of 512 MiB offered
 * were buffered for a stalled client, against 4 MiB in kernel buffers with `pull`.)
 *
 * The response is decided by the first event, so that a refusal is a plain HTTP error; when there is none in time, the
 * headers go out and an error can only come inside the stream.
 */
export function streamChat(
  deps: Deps,
  request: InferenceRequest,
  options: { readonly includeUsage: boolean; readonly signal: AbortSignal },
): Promise<Response> {
  return new ChatStream(deps, request, options.includeUsage, options.signal).response
}

class ChatStream {
  readonly response: Promise<Response>
  readonly #clock: Clock
  readonly #startTimer: StartTimer
  readonly #jobId: string
  readonly #writer: ChatChunkWriter
  readonly #run: CompletionRun
  readonly #respond: (response: Response) => void
  #responded = false
  #roleWritten = false
  /** Written and not yet taken by `pull`. */
  #waiting = ''
  /** Set while `pull` waits for something to write. */
  #wake: (() => void) | null = null
  /** `closing`: what waits is the last. `broken`: the connection is to be cut. */
  #state: 'open' | 'closing' | 'broken' = 'open'
  #lastWriteAt: Instant
  #stopTimer: () => void

  constructor(deps: Deps, request: InferenceRequest, includeUsage: boolean, signal: AbortSignal) {
    this.#clock = deps.clock
    this.#startTimer = deps.startTimer
    this.#jobId = request.jobId
    this.#writer = new ChatChunkWriter({
      jobId: request.jobId,
      model: request.model,
      createdS: Math.floor(request.receivedAt / 1000),
      includeUsage,
    })
    const { promise, resolve } = Promise.withResolvers<Response>()
    this.response = promise
    this.#respond = resolve
    this.#lastWriteAt = deps.clock.now()
    this.#stopTimer = deps.startTimer(keepAliveIntervalMs, this.#keepAlive)
    this.#run = new CompletionRun(
      signal,
      event => this.#handle(event, includeUsage),
      () => this.#break(),
    )
    this.#run.start(deps.inference, request)
  }

  #handle(event: InferenceEvent, includeUsage: boolean): void {
    switch (event.type) {
      case 'segments':
        if (event.segments.length === 0) return
        this.#writeRole(event)
        for (const segment of event.segments) {
          const chunk = this.#writer.segment(segment)
          if (chunk === null) {
            this.#run.cancel()
            this.#fail({ code: 'internal', message: 'A tool call came in a wrong form.' })
            return
          }
          this.#waiting += chunk
        }
        if (this.#waiting.length > waitingOutputUnitsMax) {
          this.#run.cancel()
          this.#break()
          return
        }
        this.#flush()
        return
      case 'finished': {
        this.#writeRole(event)
        const usage = includeUsage ? this.#writer.usage(event.usage) : ''
        this.#waiting += this.#writer.finish(event.reason) + usage + doneLine
        this.#close()
        return
      }
      case 'failed':
        this.#fail(withoutInnerDetails(event.error))
    }
  }

  #writeRole(event: InferenceEvent): void {
    if (this.#roleWritten) return
    this.#roleWritten = true
    this.#waiting += this.#writer.role(event.type === 'segments' ? event.segments[0] : undefined)
    this.#sendHeaders()
  }

  #fail(failure: ApiFailure): void {
    if (!this.#responded) {
      this.#stopTimer()
      this.#state = 'broken'
      this.#responded = true
      this.#respond(errorResponse(failure, { 'x-request-id': this.#jobId }))
      return
    }
    this.#waiting += this.#writer.failure(failure)
    this.#close()
  }

  #close(): void {
    this.#state = 'closing'
    this.#stopTimer()
    this.#flush()
  }

  /** The client is gone or does not read: nothing more can be told to it. */
  #break(): void {
    this.#state = 'broken'
    this.#waiting = ''
    this.#stopTimer()
    if (!this.#responded) {
      this.#responded = true
      this.#respond(errorResponse({ code: 'cancelled', message: 'The client closed the request.' }))
    }
    this.#flush()
  }

  #sendHeaders(): void {
    if (this.#responded) return
    this.#responded = true
    const body = new ReadableStream<Uint8Array>(
      {
        pull: controller => this.#pull(controller),
        cancel: () => {
          this.#run.cancel()
          this.#break()
        },
      },
      // Nothing is taken before it is asked for: what waits is counted here and nowhere else.
      { highWaterMark: 0 },
    )
    this.#respond(
      new Response(body, {
        headers: {
          'content-type': 'text/event-stream; charset=utf-8',
          'cache-control': 'no-cache',
          // nginx would collect the events otherwise.
          'x-accel-buffering': 'no',
          'x-request-id': this.#jobId,
        },
      }),
    )
  }

  /** Resolves only after a write or the end: a pull that resolves empty-handed is not called again. */
  async #pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    if (this.#waiting === '' && this.#state === 'open')
      await new Promise<void>(resolve => {
        this.#wake = resolve
      })
    if (this.#waiting !== '') {
      const text = this.#waiting
      this.#waiting = ''
      this.#lastWriteAt = this.#clock.now()
      controller.enqueue(encoder.encode(text))
    }
    if (this.#state === 'broken') controller.error(new Error('the client did not read the answer'))
    else if (this.#state === 'closing' && this.#waiting === '') controller.close()
  }

  #flush(): void {
    this.#wake?.()
    this.#wake = null
  }

  /** One timer per stream that sets itself again, because one per token would cost more than the token. */
  readonly #keepAlive = (): void => {
    const silentMs = this.#clock.now() - this.#lastWriteAt
    const reading = this.#wake !== null || !this.#responded
    if (silentMs >= keepAliveIntervalMs && reading) {
      this.#sendHeaders()
      this.#waiting += keepAliveLine
      this.#lastWriteAt = this.#clock.now()
      this.#flush()
    }
    const nextMs = this.#lastWriteAt + keepAliveIntervalMs - this.#clock.now()
    this.#stopTimer = this.#startTimer(nextMs > 0 ? nextMs : keepAliveIntervalMs, this.#keepAlive)
  }
}

const encoder = new TextEncoder()
