import type { FinishReason } from '../../protocol/chat-job.ts'
import type { Failure } from '../../protocol/errors.ts'
import type { Inference, InferenceEvent, Queued, TokenUsage } from '../inference.ts'
import type { ChoiceRequests } from './choice-requests.ts'
import { CompletionRun, type CompletionListener } from './completion-run.ts'

export type ChoicesListener = {
  /** The answer waits; absent: nobody is told. */
  readonly queued?: (choice: number, event: Queued) => void
  readonly segments: (choice: number, event: Extract<InferenceEvent, { type: 'segments' }>) => void
  /** @param total of all answers, with the last one that finishes; null before */
  readonly finished: (choice: number, reason: FinishReason, total: TokenUsage | null) => void
  /** One answer failed; the others are cancelled, and nothing follows. */
  readonly failed: (error: Failure) => void
  /** The client hung up; nothing follows. */
  readonly gone: () => void
}

/** The answers of one request, tied together: they all come, or the request fails. */
export class ChoicesRun implements CompletionListener {
  readonly #listener: ChoicesListener
  readonly #signal: AbortSignal
  readonly #runs: CompletionRun[] = []
  readonly #usages: TokenUsage[] = []
  #choices = 0
  #over = false

  /** @param signal of the client's request */
  constructor(signal: AbortSignal, listener: ChoicesListener) {
    this.#signal = signal
    this.#listener = listener
  }

  start(inference: Inference, requests: ChoiceRequests): void {
    this.#choices = requests.length
    for (const [choice, request] of requests.entries()) {
      // An answer that is refused at once ends the others before they begin.
      if (this.#over) return
      const run = new CompletionRun(this.#signal, choice, this)
      this.#runs.push(run)
      run.start(inference, request)
    }
  }

  /** Frees the slots. Does nothing when the request is over. */
  cancel(): void {
    this.#over = true
    for (const run of this.#runs) run.cancel()
  }

  heard(choice: number, event: InferenceEvent): void {
    if (this.#over) return
    switch (event.type) {
      case 'queued':
        this.#listener.queued?.(choice, event)
        return
      case 'segments':
        this.#listener.segments(choice, event)
        return
      case 'finished': {
        this.#usages.push(event.usage)
        const isLast = this.#usages.length === this.#choices
        if (isLast) this.#over = true
        this.#listener.finished(choice, event.reason, isLast ? totalOf(this.#usages) : null)
        return
      }
      case 'failed':
        this.cancel()
        this.#listener.failed(event.error)
    }
  }

  hungUp(): void {
    if (this.#over) return
    this.cancel()
    this.#listener.gone()
  }
}

/** Only one of them counts the prompt. */
function totalOf(usages: readonly TokenUsage[]): TokenUsage {
  const cached = usages.flatMap(({ cachedTokens }) => cachedTokens ?? [])
  const sum = (values: readonly number[]) => values.reduce((all, value) => all + value, 0)
  return {
    promptTokens: sum(usages.map(usage => usage.promptTokens)),
    completionTokens: sum(usages.map(usage => usage.completionTokens)),
    ...(cached.length > 0 && { cachedTokens: sum(cached) }),
  }
}
