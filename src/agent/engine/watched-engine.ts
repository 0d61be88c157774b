import { statSync } from 'node:fs'
import type { Clock, Instant } from '../../clock.ts'
import type { Timers } from '../timers.ts'
import { EngineWatch, type WatchLimits } from './engine-watch.ts'
import type { Engine, EngineEvent, EngineModel, EngineTask, StartEngine } from './engine.ts'

export type WatchDeps = {
  readonly clock: Clock
  readonly timers: Timers
  readonly limits: WatchLimits
}

/**
 * An engine whose worker is ended when it hangs; that is one `died` with `worker_hung`, told when the process is gone.
 */
export const createStartWatched =
  (startEngine: StartEngine, deps: WatchDeps): StartEngine =>
  (model, onEvent) =>
    new WatchedEngine(startEngine, deps, model, onEvent)

/** An agent that was stopped or asleep finds what the worker said meanwhile only after its timers have fired. */
const secondLookMs = 1_000

class WatchedEngine implements Engine {
  readonly #deps: WatchDeps
  readonly #onEvent: (event: EngineEvent) => void
  readonly #watch: EngineWatch
  readonly #engine: Engine
  #cancelTimer: () => void = () => {}
  #timerAt: number | null = null
  /** When it was found overdue; the timer that runs is the second look, which nothing that begins or ends puts off. */
  #overdueSince: Instant | null = null
  /** Nothing more is heard of it. */
  #over = false

  constructor(
    startEngine: StartEngine,
    deps: WatchDeps,
    model: EngineModel,
    onEvent: (event: EngineEvent) => void,
  ) {
    const { contextTokens, modelPath } = model
    const megabytes = (statSync(modelPath, { throwIfNoEntry: false })?.size ?? 0) / 1024 ** 2
    this.#deps = deps
    this.#onEvent = onEvent
    this.#watch = new EngineWatch(deps.limits, { contextTokens, megabytes }, deps.clock.now())
    this.#engine = startEngine(model, event => this.#hear(event))
    this.#schedule()
  }

  get pid(): number | undefined {
    return this.#engine.pid
  }

  run(job: EngineTask): void {
    this.#watch.begin(jobKey(job), this.#deps.clock.now())
    this.#engine.run(job)
    this.#schedule()
  }

  cancel(stream: number, attempt: number): void {
    this.#watch.end(jobKey({ stream, attempt }), this.#deps.clock.now())
    this.#engine.cancel(stream, attempt)
    this.#schedule()
  }

  async close(): Promise<void> {
    this.#end()
    await this.#engine.close()
  }

  #hear(event: EngineEvent): void {
    if (this.#over) return
    const moved = this.#note(event)
    if (event.type === 'died' || event.type === 'load_failed') this.#end()
    else if (moved) this.#schedule()
    this.#onEvent(event)
  }

  /** @returns whether it may be due earlier than before; a token among others never makes it so */
  #note(event: EngineEvent): boolean {
    const now = this.#deps.clock.now()
    switch (event.type) {
      case 'loading':
      case 'ready':
        this.#watch.loadSign(event.type === 'loading', now)
        return true
      case 'started':
        this.#watch.promptCounted(jobKey(event), event.promptTokens ?? 0, now)
        return true
      case 'token_frame': {
        // Stream and attempt at their fixed places (protocol/token-frame.ts); the engine has checked the length.
        const view = new DataView(event.bytes.buffer, event.bytes.byteOffset)
        const job = { stream: view.getUint32(4, true), attempt: view.getUint16(2, true) }
        return this.#watch.token(jobKey(job), now)
      }
      case 'finished':
      case 'failed':
        this.#watch.end(jobKey(event), now)
        return true
      case 'load_failed':
      case 'died':
        return false
    }
  }

  /** A timer that is early is only moved when it fires: tokens come hundreds of times a second. */
  #schedule(): void {
    const { dueAtLeast } = this.#watch
    if (this.#over || this.#overdueSince !== null || dueAtLeast === null) return
    if (this.#timerAt !== null && this.#timerAt <= dueAtLeast) return
    this.#setTimer(dueAtLeast, () => this.#look())
  }

  #look(): void {
    this.#timerAt = null
    const { dueAt } = this.#watch
    const now = this.#deps.clock.now()
    if (dueAt === null) return
    if (now < dueAt) this.#setTimer(dueAt, () => this.#look())
    else {
      this.#overdueSince = now
      this.#setTimer(now + secondLookMs, () => this.#secondLook())
    }
  }

  #secondLook(): void {
    const since = this.#overdueSince
    this.#timerAt = null
    this.#overdueSince = null
    const { dueAt } = this.#watch
    if (dueAt === null) return
    // What has become overdue since then has not had its second look.
    if (since === null || dueAt > since) this.#setTimer(dueAt, () => this.#look())
    else void this.#hung()
  }

  async #hung(): Promise<void> {
    this.#end()
    // It does not hear that it should end; after its grace it is killed.
    await this.#engine.close()
    const message = 'the worker hung: it was silent for far longer than it ever is, and was ended'
    this.#onEvent({ type: 'died', error: { code: 'worker_hung', message }, exit: 'hung' })
  }

  #setTimer(at: number, callback: () => void): void {
    this.#cancelTimer()
    this.#timerAt = at
    const { clock, timers } = this.#deps
    this.#cancelTimer = timers.after(at - clock.now(), callback)
  }

  #end(): void {
    this.#over = true
    this.#cancelTimer()
  }
}

/** Stream and attempt of a job as one number, exact below 2^48. */
const jobKey = ({ stream, attempt }: { readonly stream: number; readonly attempt: number }) =>
  stream * 65_536 + attempt
