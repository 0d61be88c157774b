import type { AdminEvent } from './admin-event.ts'

/** Events that wait for a receiver; beyond it the oldest is dropped, and the number of dropped ones is sent. */
export const eventsWaitingMax = 500
/** Of one message. */
export const eventsPerPostMax = 50
/** After it a message is given up: with 1, 2, 4 … 60 s between them that is four minutes of trouble. */
export const triesMax = 9
export const retryDelayMinMs = 1_000
export const retryDelayMaxMs = 60_000
/** Between two messages, so that a flood becomes few. */
export const postGapMs = 1_000

export type WebhookBatch = {
  readonly events: readonly AdminEvent[]
  /** Older ones that nobody was told of. */
  readonly dropped: number
}

export type QueueEvent =
  | { readonly type: 'event'; readonly event: AdminEvent }
  /** The message was taken, or why not. */
  | { readonly type: 'posted'; readonly problem: string | null }
  | { readonly type: 'waited' }

export type QueueCommand =
  /** `isNew` false: the same as before, once more. */
  | { readonly type: 'post'; readonly batch: WebhookBatch; readonly isNew: boolean }
  | { readonly type: 'wait'; readonly ms: number }
  | { readonly type: 'give_up'; readonly events: number; readonly problem: string }

type State =
  | { readonly name: 'idle' }
  | { readonly name: 'posting'; readonly batch: WebhookBatch; readonly tries: number }
  | { readonly name: 'retrying'; readonly batch: WebhookBatch; readonly tries: number }
  | { readonly name: 'pausing' }

/** Which events go to the webhook when: one message at a time, tried again with growing pauses. Pure. */
export class WebhookQueue {
  #state: State = { name: 'idle' }
  #waiting: AdminEvent[] = []
  #dropped = 0

  handle(event: QueueEvent): readonly QueueCommand[] {
    switch (event.type) {
      case 'event':
        return this.#add(event.event)
      case 'posted':
        return this.#posted(event.problem)
      case 'waited':
        return this.#waited()
    }
  }

  #add(event: AdminEvent): readonly QueueCommand[] {
    this.#waiting.push(event)
    if (this.#waiting.length > eventsWaitingMax) {
      this.#waiting.shift()
      this.#dropped++
    }
    return this.#state.name === 'idle' ? this.#next() : []
  }

  #posted(problem: string | null): readonly QueueCommand[] {
    if (this.#state.name !== 'posting') return []
    const { batch, tries } = this.#state
    if (problem === null) return this.#pause()
    if (tries < triesMax) {
      this.#state = { name: 'retrying', batch, tries }
      return [{ type: 'wait', ms: Math.min(retryDelayMinMs * 2 ** (tries - 1), retryDelayMaxMs) }]
    }
    this.#dropped += batch.events.length + batch.dropped
    return [{ type: 'give_up', events: batch.events.length, problem }, ...this.#pause()]
  }

  #pause(): readonly QueueCommand[] {
    this.#state = { name: 'pausing' }
    return [{ type: 'wait', ms: postGapMs }]
  }

  #waited(): readonly QueueCommand[] {
    if (this.#state.name === 'pausing') return this.#next()
    if (this.#state.name !== 'retrying') return []
    const { batch, tries } = this.#state
    this.#state = { name: 'posting', batch, tries: tries + 1 }
    return [{ type: 'post', batch, isNew: false }]
  }

  #next(): readonly QueueCommand[] {
    if (this.#waiting.length === 0) {
      this.#state = { name: 'idle' }
      return []
    }
    const batch = { events: this.#waiting.splice(0, eventsPerPostMax), dropped: this.#dropped }
    this.#dropped = 0
    this.#state = { name: 'posting', batch, tries: 1 }
    return [{ type: 'post', batch, isNew: true }]
  }
}
