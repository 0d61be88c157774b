import type { Clock, Instant } from '../../clock.ts'
import { errorResponse, withoutInnerDetails, type ApiFailure } from '../http-error.ts'
import type { FinishReason } from '../../protocol/chat-job.ts'
import type { Failure } from '../../protocol/errors.ts'
import type { Inference, InferenceEvent, TokenUsage } from '../inference.ts'
import { ChatChunkWriter, doneLine, keepAliveLine, queuedLine } from './chat-chunk-writer.ts'
import type { ChoiceRequests } from './choice-requests.ts'
import { ChoiceText } from './choice-text.ts'
import { ChoicesRun, type ChoicesListener } from './choices-run.ts'
import type { ServedTier } from './service-tier.ts'
import { TextStream } from './text-stream.ts'
import type { StartTimer } from './timer.ts'

/** Silence towards the client after which a comment is sent, and after which headers go out without a first event. */
export const keepAliveIntervalMs = 10_000

type EventOf<Type extends InferenceEvent['type']> = Extract<InferenceEvent, { type: Type }>

type Deps = {
  readonly inference: Inference
  readonly clock: Clock
  readonly startTimer: StartTimer
}

/**
 * Answers a request with server-sent events. One that waits gets its headers at once, and a comment with its place.
 *
 * Events from the pool are turned into text at once and leave at once (text-stream.ts): there is neither an object nor a
 * promise per token, and a client that does not read is given up.
 *
 * The response is decided by the first event, so that a refusal is a plain HTTP error; when there is none in time, the
 * headers go out and an error can only come inside the stream.
 */
export function streamChat(
  deps: Deps,
  requests: ChoiceRequests,
  options: Options,
): Promise<Response> {
  return new ChatStream(deps, requests, options).response
}

type Options = {
  readonly includeUsage: boolean
  /** Told in every chunk; null: nothing is told. */
  readonly tier: ServedTier | null
  readonly signal: AbortSignal
}

class ChatStream implements ChoicesListener {
  readonly response: Promise<Response>
  readonly #clock: Clock
  readonly #startTimer: StartTimer
  readonly #jobId: string
  readonly #includeUsage: boolean
  readonly #writer: ChatChunkWriter
  readonly #choices: readonly ChoiceText[]
  readonly #run: ChoicesRun
  readonly #respond: (response: Response) => void
  readonly #output = new TextStream(() => this.gone())
  #responded = false
  #stopped = false
  #lastWriteAt: Instant
  #stopTimer: () => void

  constructor(deps: Deps, requests: ChoiceRequests, { includeUsage, tier, signal }: Options) {
    const [{ jobId, model, receivedAt }] = requests
    this.#clock = deps.clock
    this.#startTimer = deps.startTimer
    this.#jobId = jobId
    this.#includeUsage = includeUsage
    const createdS = Math.floor(receivedAt / 1000)
    const writerOf = (choice: number) =>
      new ChatChunkWriter({ jobId, model, createdS, choice, includeUsage, tier })
    this.#writer = writerOf(0)
    this.#choices = requests.map(
      (_, choice) => new ChoiceText(choice === 0 ? this.#writer : writerOf(choice)),
    )
    const { promise, resolve } = Promise.withResolvers<Response>()
    this.response = promise
    this.#respond = resolve
    this.#lastWriteAt = deps.clock.now()
    this.#stopTimer = deps.startTimer(keepAliveIntervalMs, this.#keepAlive)
    this.#run = new ChoicesRun(signal, this)
    this.#run.start(deps.inference, requests)
  }

  queued(choice: number, event: EventOf<'queued'>): void {
    // Where the first answer waits, the others wait behind it.
    if (choice === 0) this.#write(queuedLine(event))
  }

  segments(choice: number, event: EventOf<'segments'>): void {
    const text = this.#choices[choice]?.segments(event) ?? ''
    if (typeof text !== 'string') this.#giveUp(text)
    // One write for all segments of an event.
    else if (text !== '') this.#write(text)
  }

  finished(choice: number, reason: FinishReason, total: TokenUsage | null): void {
    const end = this.#choices[choice]?.finish(reason) ?? ''
    if (total === null) {
      this.#write(end)
      return
    }
    this.#write(end + (this.#includeUsage ? this.#writer.usage(total) : '') + doneLine)
    this.#close()
  }

  failed(error: Failure): void {
    this.#fail(withoutInnerDetails(error))
  }

  /** The client is gone or does not read: nothing more can be told to it. */
  gone(): void {
    this.#run.cancel()
    this.#stop()
    this.#output.cut('the client is gone')
    if (this.#responded) return
    this.#responded = true
    this.#respond(errorResponse({ code: 'cancelled', message: 'The client closed the request.' }))
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
