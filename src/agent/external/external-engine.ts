import type { Clock } from '../../clock.ts'
import type { ChatJob } from '../../protocol/chat-job.ts'
import type { Failure } from '../../protocol/errors.ts'
import type { Engine, EngineEvent, EngineJob } from '../engine/engine.ts'
import type { Timers } from '../timers.ts'
import { AnswerFrames } from './answer-frames.ts'
import { engineJson } from './engine-server.ts'
import type { ServedModel } from './served-model.ts'
import {
  streamCompletion,
  type CompletionEnd,
  type CompletionListener,
} from './stream-completion.ts'

/** A token must come within this: an engine may load the model for it first. */
export const healthCheckTimeoutMs = 300_000
/** Whether an engine that broke off is there at all. */
const lookTimeoutMs = 5_000

export type ExternalEngineDeps = { readonly clock: Clock; readonly timers: Timers }

export type ExternalLoad = {
  readonly model: ServedModel
  /** What the pool promises its clients, in tokens. */
  readonly contextTokens: number
}

/** Stream and attempt of a job as one number, exact below 2^48. */
const jobKey = (job: { readonly stream: number; readonly attempt: number }): number =>
  job.stream * 65_536 + job.attempt

/** As small as a job can be. */
const healthJob: ChatJob = {
  messages: [{ role: 'user', content: 'Hello' }],
  tools: [],
  sampling: { temperature: 0, topP: 1, seed: 1 },
  maxTokens: 1,
  stop: [],
  renderTimeMs: 0,
}

/**
 * An engine that the owner runs, spoken to over HTTP. It has loaded its model, or does when asked, so a load here is a
 * check that it makes a token. When it does not answer any more that is one `died`, after which nothing follows. It tells
 * no token ids, so its answers cannot be continued.
 */
export class ExternalEngine implements Engine {
  readonly pid: undefined
  readonly #deps: ExternalEngineDeps
  readonly #load: ExternalLoad
  readonly #onEvent: (event: EngineEvent) => void
  readonly #waiting: EngineJob[] = []
  readonly #running = new Map<number, AbortController>()
  readonly #check = new AbortController()
  /** Everything that goes on, for `close`. */
  readonly #work = new Set<Promise<void>>()
  #state: 'checking' | 'ready' | 'failed' | 'ended' = 'checking'
  #failure: Failure | null = null
  #looking: Promise<boolean> | null = null

  constructor(deps: ExternalEngineDeps, load: ExternalLoad, onEvent: (event: EngineEvent) => void) {
    this.#deps = deps
    this.#load = load
    this.#onEvent = onEvent
    this.#go(this.#checkHealth())
  }

  run(job: EngineJob): void {
    if (this.#state === 'ended') return
    this.#waiting.push(job)
    // Later: the caller does not expect an answer before this has returned.
    queueMicrotask(() => this.#pump())
  }

  cancel(stream: number, attempt: number): void {
    const key = jobKey({ stream, attempt })
    const at = this.#waiting.findIndex(job => jobKey(job) === key)
    if (at !== -1) this.#waiting.splice(at, 1)
    const abort = this.#running.get(key)
    this.#running.delete(key)
    abort?.abort()
    this.#pump()
  }

  async close(): Promise<void> {
    this.#end()
    await Promise.all(this.#work)
  }

  #go(work: Promise<void>): void {
    const settled = work.finally(() => this.#work.delete(settled))
    this.#work.add(settled)
  }

  #end(): void {
    this.#state = 'ended'
    this.#check.abort()
    this.#waiting.length = 0
    for (const abort of this.#running.values()) abort.abort()
    this.#running.clear()
  }

  async #checkHealth(): Promise<void> {
    const { clock } = this.#deps
    const { model, contextTokens } = this.#load
    const startedAt = clock.now()
    // As every event, it comes when the caller has the engine.
    await Promise.resolve()
    this.#onEvent({ type: 'loading', progress: null })
    const problem = await this.#healthProblem()
    if (this.#state !== 'checking') return
    if (problem === null) {
      this.#state = 'ready'
      const loadMs = clock.now() - startedAt
      this.#onEvent({
        type: 'ready',
        contextTokens: model.contextTokens ?? contextTokens,
        slots: model.slots,
        loadMs,
      })
    } else {
      this.#state = 'failed'
      this.#failure = problem
      this.#onEvent({ type: 'load_failed', error: problem })
    }
    this.#pump()
  }

  async #healthProblem(): Promise<Failure | null> {
    const { model, contextTokens } = this.#load
    if (model.contextTokens !== null && model.contextTokens < contextTokens)
      return loadFailed(
        `the engine gives ${model.modelId} a context of ${model.contextTokens} tokens; the catalogue promises ${contextTokens}`,
      )
    let isLate = false
    const cancelDeadline = this.#deps.timers.after(healthCheckTimeoutMs, () => {
      isLate = true
      this.#check.abort()
    })
    const end = await this.#stream(healthJob, nobody, this.#check)
    cancelDeadline()
    if (isLate) return loadFailed(`no token within ${healthCheckTimeoutMs / 1_000} s`)
    if (end.type === 'failed') return loadFailed(end.error.message)
    return null
  }

  #stream(
    chat: ChatJob,
    listener: CompletionListener,
    abort: AbortController,
  ): Promise<CompletionEnd> {
    const { modelId, engine, server } = this.#load.model
    return streamCompletion({ server, modelId, engine, chat }, this.#deps.timers, listener, abort)
  }

  /** Gives waiting jobs to free slots. */
  #pump(): void {
    if (this.#state === 'failed') {
      for (const job of this.#waiting.splice(0)) this.#fail(job, this.#failure ?? cannotContinue)
      return
    }
    while (this.#state === 'ready' && this.#running.size < this.#load.model.slots) {
      const job = this.#waiting.shift()
      if (job === undefined) return
      if (job.continuation !== null) this.#fail(job, cannotContinue)
      else this.#go(this.#answer(job))
    }
  }

  async #answer(job: EngineJob): Promise<void> {
    const { stream, attempt, chat } = job
    const key = jobKey(job)
    const abort = new AbortController()
    this.#running.set(key, abort)
    const isWanted = () => this.#running.get(key) === abort
    const frames = new AnswerFrames({
      stream,
      attempt,
      maxTokens: chat.maxTokens,
      send: bytes => {
        if (isWanted()) this.#onEvent({ type: 'token_frame', bytes })
      },
    })
    const started = { type: 'started', stream, attempt, promptSha256: null } as const
    this.#onEvent({ ...started, promptTokens: null })
    const listener: CompletionListener = {
      segments: segments => frames.push(segments),
      promptTokens: promptTokens => {
        if (isWanted()) this.#onEvent({ ...started, promptTokens })
      },
    }
    const end = await this.#stream(chat, listener, abort)
    if (!isWanted()) return
    if (end.type === 'failed' && end.gone && !(await this.#isThere())) this.#die(end.error)
    // Cancelled meanwhile, or the engine is dead, which says it all.
    if (!isWanted()) return
    if (end.type === 'finished') {
      frames.finish()
      const { tokens } = frames
      this.#onEvent({ type: 'finished', stream, attempt, reason: end.reason, tokens })
    } else if (end.type === 'failed') this.#fail(job, end.error)
    this.#running.delete(key)
    this.#pump()
  }

  #fail({ stream, attempt }: EngineJob, error: Failure): void {
    this.#onEvent({ type: 'failed', stream, attempt, error })
  }

  /** An answer broke off: whether the engine is there at all. Several that broke off at once ask once. */
  #isThere(): Promise<boolean> {
    const { server } = this.#load.model
    this.#looking ??= engineJson(server, `${server.base}/models`, this.#deps.timers, lookTimeoutMs)
      .then(found => !('problem' in found))
      .finally(() => (this.#looking = null))
    return this.#looking
  }

  #die(error: Failure): void {
    if (this.#state === 'ended') return
    this.#end()
    this.#onEvent({ type: 'died', error, exit: 'no answer' })
  }
}

/** Of the health check: that a token came is all that matters. */
const nobody: CompletionListener = { segments: () => true, promptTokens: () => {} }

const loadFailed = (message: string): Failure => ({ code: 'model_load_failed', message })

const cannotContinue: Failure = {
  code: 'internal',
  message: 'an answer cannot be continued by an engine that tells no token ids',
}
