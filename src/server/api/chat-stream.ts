import type { Clock, Instant } from '../../clock.ts'
import { errorResponse, withoutInnerDetails, type ApiFailure } from '../http-error.ts'
import type { Segment } from '../../protocol/token-frame.ts'
import type { Inference, InferenceEvent, InferenceRequest } from '../inference.ts'
import { WaitingLogprobs } from './answer-logprobs.ts'
import { ChatChunkWriter, doneLine, keepAliveLine } from './chat-chunk-writer.ts'
import { CompletionRun } from './completion-run.ts'
import { TextStream } from './text-stream.ts'
import type { StartTimer } from './timer.ts'

/** Silence towards the client after which a comment is sent, and after which headers go out without a first event. */
export const keepAliveIntervalMs = 10_000

type Deps = {
  readonly inference: Inference
  readonly clock: Clock
  readonly startTimer: StartTimer
}

/**
 * Answers a request with server-sent events.
 *
 * Events from the pool are turned into text at once and leave at once (text-stream.ts): there is neither an object nor a
 * promise per token, and a client that does not read is given up.
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
  readonly #output = new TextStream(() => this.#gone())
  readonly #logprobs = new WaitingLogprobs()
  #responded = false
  #roleWritten = false
  #stopped = false
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
      () => this.#gone(),
    )
    this.#run.start(deps.inference, request)
  }

  #handle(event: InferenceEvent, includeUsage: boolean): void {
    switch (event.type) {
      case 'segments':
        if (event.logprob !== undefined) {
          const failure = this.#logprobs.add(event.logprob)
          if (failure !== null) {
            this.#giveUp(failure)
            return
          }
        }
        if (event.segments.length > 0) this.#writeSegments(event.segments)
        return
      case 'finished': {
        const usage = includeUsage ? this.#writer.usage(event.usage) : ''
        this.#write(this.#role() + this.#writer.finish(event.reason) + usage + doneLine)
        this.#close()
        return
      }
      case 'failed':
        this.#fail(withoutInnerDetails(event.error))
    }
  }

  /** All segments of an event leave in one write. */
  #writeSegments(segments: readonly Segment[]): void {
    let text = this.#role(segments[0])
    for (const segment of segments) {
      const chunk = this.#writer.segment(segment, this.#logprobs.take(segment.kind))
      if (chunk === null) {
        this.#giveUp({ code: 'internal', message: 'A tool call came in a wrong form.' })
        return
      }
      text += chunk
    }
    this.#write(text)
  }

  /** The first chunk, once. */
  #role(first?: Segment): string {
    if (this.#roleWritten) return ''
    this.#roleWritten = true
    return this.#writer.role(first)
  }

  #write(text: string): void {
    this.#lastWriteAt = this.#clock.now()
    this.#output.write(text)
    this.#sendHeaders()
  }

  /** The answer cannot be told any further. */
  #giveUp(failure: ApiFailure): void {
    this.#run.cancel()
    this.#fail(failure)
  }

  #fail(failure: ApiFailure): void {
    if (this.#responded) {
      this.#write(this.#writer.failure(failure))
      this.#close()
      return
    }
    this.#responded = true
    this.#stop()
    this.#respond(errorResponse(failure, { 'x-request-id': this.#jobId }))
  }

  #close(): void {
    this.#stop()
    this.#output.close()
  }

  /** The client is gone or does not read: nothing more can be told to it. */
  #gone(): void {
    this.#run.cancel()
    this.#stop()
    this.#output.cut('the client is gone')
    if (this.#responded) return
    this.#responded = true
    this.#respond(errorResponse({ code: 'cancelled', message: 'The client closed the request.' }))
  }

  #stop(): void {
    this.#stopped = true
    this.#stopTimer()
  }

  #sendHeaders(): void {
    if (this.#responded) return
    this.#responded = true
    this.#respond(
      new Response(this.#output.body, {
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

  /** One timer per stream that sets itself again, because one per token would cost more than the token. */
  readonly #keepAlive = (): void => {
    const silentMs = this.#clock.now() - this.#lastWriteAt
    if (silentMs >= keepAliveIntervalMs && this.#output.idle) this.#write(keepAliveLine)
    // A client that does not read may have been cut off by what was just written to it.
    if (this.#stopped) return
    const nextMs = this.#lastWriteAt + keepAliveIntervalMs - this.#clock.now()
    this.#stopTimer = this.#startTimer(nextMs > 0 ? nextMs : keepAliveIntervalMs, this.#keepAlive)
  }
}
