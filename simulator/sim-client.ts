import type { ChatJob } from '../src/protocol/chat-job.ts'
import type { Failure } from '../src/protocol/errors.ts'
import type { JobId } from '../src/protocol/ids.ts'
import { CompletionRun } from '../src/server/api/completion-run.ts'
import type {
  Inference,
  InferenceEvent,
  InferenceRequest,
  TokenUsage,
} from '../src/server/inference.ts'
import type { Tables } from './tables.ts'
import { expectedAnswer, type Expected } from './pretend-model.ts'
import type { World } from './world.ts'

/** How a request ended, as its client sees it. */
export type Ending =
  | { readonly type: 'finished'; readonly usage: TokenUsage }
  | { readonly type: 'failed'; readonly error: Failure; readonly usage: TokenUsage }
  /** The client itself gave it up. */
  | { readonly type: 'cancelled' }
  /** The server died. */
  | { readonly type: 'cut' }

/** How a client behaves. */
export type ClientManner = {
  /** It hangs up after so long; null: it stays. */
  readonly patienceMs: number | null
  /** UTF-16 units that it reads in a second; null: everything at once. */
  readonly readsPerS: number | null
}

/** Clients of several tenants, of whom none may take all. */
const keys = ['key-a', 'key-a', 'key-a', 'key-b', 'key-c'] as const

/** Text that may wait for a client that does not read, as TextStream has it, in the small. */
const unreadUnitsMax = 200

/**
 * One request and everything that its client gets, held against what the model must have said. What the pool promises to
 * a client is checked here, at every event.
 */
export class SimClient {
  readonly jobId: JobId
  readonly model: string
  readonly expected: Expected
  readonly #world: World
  readonly #tables: Tables
  readonly #abort = new AbortController()
  readonly #manner: ClientManner
  readonly #onEnd: (client: SimClient) => void
  #run: CompletionRun | null = null
  #receivedUnits = 0
  #unread = 0
  #readAt = 0
  ending: Ending | null = null
  readonly request: InferenceRequest

  constructor(
    chat: ChatJob,
    model: string,
    manner: ClientManner,
    surroundings: {
      readonly world: World
      readonly tables: Tables
      readonly onEnd: (client: SimClient) => void
    },
  ) {
    const { world, tables, onEnd } = surroundings
    this.#world = world
    this.#tables = tables
    this.#onEnd = onEnd
    this.#manner = manner
    this.model = model
    this.jobId = world.random.uuid() as JobId
    this.expected = expectedAnswer(chat)
    this.request = {
      jobId: this.jobId,
      keyId: world.random.pick(keys),
      model,
      chat,
      receivedAt: world.now(),
    }
  }

  get receivedUnits(): number {
    return this.#receivedUnits
  }

  submit(inference: Inference): void {
    const { patienceMs } = this.#manner
    this.#readAt = this.#world.now()
    this.#run = new CompletionRun(this.#abort.signal, 0, {
      heard: (_, event) => this.#handle(event),
      hungUp: () => this.#end({ type: 'cancelled' }),
    })
    this.#run.start(guarded(inference, this.#world), this.request)
    if (patienceMs !== null) this.#world.after(patienceMs, () => this.hangUp())
  }

  hangUp(): void {
    if (this.ending === null) this.#abort.abort()
  }

  /** Its connection ends with the server. */
  cut(): void {
    if (this.ending === null) this.#end({ type: 'cut' })
  }

  #handle(event: InferenceEvent): void {
    if (this.ending !== null)
      return this.#world.violated(`${this.jobId} got ${event.type} after ${this.ending.type}`)
    switch (event.type) {
      case 'queued':
        if (event.position < 1) this.#world.violated(`${this.jobId} waits at ${event.position}`)
        return
      case 'segments':
        for (const segment of event.segments) this.#receive(segment.text)
        this.#readSome()
        return
      case 'finished':
        this.#checkComplete(event.reason, event.usage)
        this.#end({ type: 'finished', usage: event.usage })
        return
      case 'failed':
        this.#checkLedger(event.usage, event.error.message)
        this.#end({ type: 'failed', error: event.error, usage: event.usage })
    }
  }

  #receive(text: string): void {
    const { expected } = this
    if (!expected.text.startsWith(text, this.#receivedUnits)) {
      const due = expected.text.slice(this.#receivedUnits, this.#receivedUnits + text.length)
      return this.#world.violated(
        `${this.jobId} got ${JSON.stringify(text)} at ${this.#receivedUnits}; due was ${JSON.stringify(due)}`,
      )
    }
    this.#receivedUnits += text.length
    this.#unread += text.length
  }

  #readSome(): void {
    const { readsPerS } = this.#manner
    if (readsPerS === null) return
    const now = this.#world.now()
    this.#unread = Math.max(0, this.#unread - (readsPerS * (now - this.#readAt)) / 1_000)
    this.#readAt = now
    if (this.#unread <= unreadUnitsMax || this.ending !== null) return
    this.#run?.cancel()
    this.#end({ type: 'cancelled' })
  }

  #checkComplete(reason: string, usage: TokenUsage): void {
    const { expected } = this
    if (this.#receivedUnits !== expected.text.length)
      return this.#world.violated(
        `${this.jobId} finished with ${this.#receivedUnits} of ${expected.text.length} units`,
      )
    if (reason !== expected.reason || usage.completionTokens !== expected.tokens)
      return this.#world.violated(
        `${this.jobId} finished with ${reason}, ${usage.completionTokens} tokens; due were ${expected.reason}, ${expected.tokens}`,
      )
    this.#checkLedger(usage, null)
  }

  /** Usage is committed before the client hears of the end. @param error of a request that failed */
  #checkLedger(usage: TokenUsage, error: string | null): void {
    const row = this.#tables.requests.get(this.jobId)
    if (row === undefined) {
      // What was refused before it began has no row; what could not be stored says so.
      if (error !== null && (usage.completionTokens === 0 || error === notRecorded)) return
      return this.#world.violated(`${this.jobId} heard of its end before its usage was committed`)
    }
    if (row.completionTokens !== usage.completionTokens || row.promptTokens !== usage.promptTokens)
      return this.#world.violated(`${this.jobId} was told another usage than the ledger has`)
  }

  /** What the ledger has of a request, held against what its client got. */
  checkDelivered(): void {
    const row = this.#tables.requests.get(this.jobId)
    if (row === undefined) {
      if (this.ending?.type === 'finished')
        return this.#world.violated(`${this.jobId} left the ledger`)
      return
    }
    const { unitsAfter, tokens, text } = this.expected
    const countedUnits =
      row.completionTokens === tokens ? text.length : (unitsAfter[row.completionTokens] ?? 0)
    if (this.#receivedUnits > countedUnits)
      return this.#world.violated(
        `${this.jobId} got ${this.#receivedUnits} units and only ${countedUnits} were counted`,
      )
  }

  #end(ending: Ending): void {
    this.ending = ending
    this.#onEnd(this)
  }
}

const notRecorded = 'the answer was given but its usage could not be recorded'

/** What the pool promises of every request: one end, and nothing after it or after `cancel`. */
const guarded = (inference: Inference, world: World): Inference => ({
  ...inference,
  submitEmbed: inference.submitEmbed.bind(inference),
  submit: (request, onEvent) => {
    let over: string | null = null
    const { cancel } = inference.submit(request, event => {
      if (over !== null) return world.violated(`${request.jobId} got ${event.type} after ${over}`)
      if (event.type === 'finished' || event.type === 'failed') over = event.type
      onEvent(event)
    })
    return {
      cancel: () => {
        over ??= 'cancel'
        cancel()
      },
    }
  },
})
