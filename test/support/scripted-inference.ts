import type { FinishReason } from '../../src/protocol/chat-job.ts'
import type { Failure } from '../../src/protocol/errors.ts'
import type { SegmentKind } from '../../src/protocol/token-frame.ts'
import type {
  EmbedEvent,
  EmbedRequest,
  Inference,
  InferenceEvent,
  InferenceRequest,
} from '../../src/server/inference.ts'

/** What reached the pool, with the test in the pool's place. */
class Submitted<Request, Event> {
  readonly request: Request
  protected readonly onEvent: (event: Event) => void
  readonly #cancelled = Promise.withResolvers<void>()
  cancels = 0

  constructor(request: Request, onEvent: (event: Event) => void) {
    this.request = request
    this.onEvent = onEvent
  }

  /** Resolves at the first cancel. */
  get cancelled(): Promise<void> {
    return this.#cancelled.promise
  }

  readonly cancel = (): void => {
    this.cancels++
    this.#cancelled.resolve()
  }
}

/** A chat that reached the pool. */
export class Submission extends Submitted<InferenceRequest, InferenceEvent> {
  say(text: string, kind: SegmentKind = 'answer'): void {
    this.onEvent({ type: 'segments', segments: [{ kind, text }] })
  }

  emit(event: InferenceEvent): void {
    this.onEvent(event)
  }

  finish(reason: FinishReason = 'stop', completionTokens = 2): void {
    this.onEvent({ type: 'finished', reason, usage: { promptTokens: 7, completionTokens } })
  }

  fail(error: Failure): void {
    this.onEvent({ type: 'failed', error, usage: { promptTokens: 7, completionTokens: 0 } })
  }
}

/** One request for vectors that reached the pool. */
export class EmbedSubmission extends Submitted<EmbedRequest, EmbedEvent> {
  finish(vectors: readonly (readonly number[])[]): void {
    this.onEvent({
      type: 'finished',
      vectors: vectors.map(values => Float32Array.from(values)),
      usage: { promptTokens: 7, completionTokens: 0 },
    })
  }

  fail(error: Failure): void {
    this.onEvent({ type: 'failed', error, usage: { promptTokens: 0, completionTokens: 0 } })
  }
}

/** The pool as the API sees it; each submission waits for the test to say what happens. */
export class ScriptedInference implements Inference {
  readonly submissions: Submission[] = []
  #waiting: ((submission: Submission) => void)[] = []
  #taken = 0
  /** Set: called within `submit`, for pools that answer at once. */
  onSubmit: ((submission: Submission) => void) | null = null

  submit(
    request: InferenceRequest,
    onEvent: (event: InferenceEvent) => void,
  ): { readonly cancel: () => void } {
    const submission = new Submission(request, onEvent)
    this.submissions.push(submission)
    this.onSubmit?.(submission)
    const waiting = this.#waiting.shift()
    if (waiting !== undefined) {
      this.#taken++
      waiting(submission)
    }
    return submission
  }

  readonly embeds: EmbedSubmission[] = []
  /** Called within `submitEmbed`. */
  onEmbed: ((submission: EmbedSubmission) => void) | null = null

  submitEmbed(
    request: EmbedRequest,
    onEvent: (event: EmbedEvent) => void,
  ): { readonly cancel: () => void } {
    const submission = new EmbedSubmission(request, onEvent)
    this.embeds.push(submission)
    this.onEmbed?.(submission)
    return submission
  }

  /** The next submission that no other call got. */
  next(): Promise<Submission> {
    const ready = this.submissions[this.#taken]
    if (ready !== undefined) {
      this.#taken++
      return Promise.resolve(ready)
    }
    return new Promise(resolve => this.#waiting.push(resolve))
  }
}
