import type { Logger } from 'pino'
import type { Clock } from '../../clock.ts'
import { offerOf, type ExternalModel, type ExternalSource } from '../../models/external-model.ts'
import { limits } from '../../protocol/limits.ts'
import type { Engine, EngineEvent } from '../engine/engine.ts'
import type { Timers } from '../timers.ts'
import type { EngineSettings } from './engine-settings.ts'
import { ExternalEngine } from './external-engine.ts'
import { readModels } from './read-models.ts'
import type { ServedModel } from './served-model.ts'

/** How often the engines are asked what they serve; while one does not answer sooner, then ever more seldom. */
export const lookIntervalMs = 30_000
const retryMinMs = 2_000
const retryMaxMs = 60_000

/** What the server wants served by an engine of the owner. */
export type ExternalWish = {
  readonly source: ExternalSource
  readonly contextTokens: number
}

export type StartExternal = (wish: ExternalWish, onEvent: (event: EngineEvent) => void) => Engine

/** One engine as the owner of the machine is shown it. */
export type EngineOverview = {
  readonly url: string
  readonly models: readonly string[]
  /** Why it serves nothing; null: it does. */
  readonly problem: string | null
}

export type ExternalEnginesDeps = {
  readonly settings: EngineSettings
  readonly clock: Clock
  readonly timers: Timers
  readonly log: Logger
  /** What the engines serve has changed. */
  readonly onChange: () => void
}

type Found = Awaited<ReturnType<typeof readModels>>

/** The engines that the owner runs beside the agent: asks them what they serve, and starts using one when it is wanted. */
export class ExternalEngines {
  readonly #deps: ExternalEnginesDeps
  readonly #found = new Map<string, Found>()
  #cancelNext: () => void = () => {}
  #looking: Promise<void> | null = null
  #failures = 0
  #stopped = false

  constructor(deps: ExternalEnginesDeps) {
    this.#deps = deps
  }

  /** What the pool is told; undefined: the owner runs no engine. */
  get offers(): readonly ExternalModel[] | undefined {
    if (this.#deps.settings.urls.length === 0) return undefined
    return this.#served.map(({ modelId, engine, fingerprint, contextTokens }) => ({
      modelId,
      engine,
      fingerprint,
      contextTokens,
    }))
  }

  get overview(): readonly EngineOverview[] {
    return this.#deps.settings.urls.map(url => {
      const found = this.#found.get(url)
      if (found === undefined) return { url, models: [], problem: 'not asked yet' }
      if ('problem' in found) return { url, models: [], problem: found.problem }
      return { url, models: found.map(({ modelId }) => modelId), problem: null }
    })
  }

  /** Asks all engines, now and again and again until `stop`. Resolves when each has answered or has not in time. */
  async look(): Promise<void> {
    if (this.#stopped || this.#deps.settings.urls.length === 0) return
    this.#cancelNext()
    this.#looking ??= this.#lookOnce().finally(() => {
      this.#looking = null
      if (this.#stopped) return
      const waitMs =
        this.#failures === 0
          ? lookIntervalMs
          : Math.min(retryMinMs * 2 ** (this.#failures - 1), retryMaxMs)
      this.#cancelNext = this.#deps.timers.after(waitMs, () => void this.look())
    })
    await this.#looking
  }

  stop(): void {
    this.#stopped = true
    this.#cancelNext()
  }

  /** Begins to use the engine that serves what is wanted. */
  readonly start: StartExternal = ({ source, contextTokens }, onEvent) => {
    const model = offerOf(source, this.#served)
    const { clock, timers } = this.#deps
    const hear = (event: EngineEvent) => {
      onEvent(event)
      // It may be gone, and the pool should hear that it is offered no more.
      if (event.type === 'died' || event.type === 'load_failed') void this.look()
    }
    if (model === undefined) return notServed(source, hear)
    return new ExternalEngine({ clock, timers }, { model, contextTokens }, hear)
  }

  get #served(): readonly ServedModel[] {
    return [...this.#found.values()]
      .flatMap(found => ('problem' in found ? [] : found))
      .slice(0, limits.externalModelsPerAgentMax)
  }

  async #lookOnce(): Promise<void> {
    const { settings, timers, onChange } = this.#deps
    const { apiKey, slots } = settings
    const before = JSON.stringify(this.offers)
    const answers = await Promise.all(
      settings.urls.map(async url => ({
        url,
        found: await readModels({ base: url, apiKey }, slots, timers),
      })),
    )
    if (this.#stopped) return
    this.#failures = answers.some(({ found }) => 'problem' in found) ? this.#failures + 1 : 0
    for (const { url, found } of answers) {
      this.#log(url, found)
      this.#found.set(url, found)
    }
    if (JSON.stringify(this.offers) !== before) onChange()
  }

  /** Says what has changed, for the owner. */
  #log(url: string, found: Found): void {
    const { log } = this.#deps
    const before = this.#found.get(url)
    const failedBefore = before !== undefined && 'problem' in before
    if ('problem' in found) {
      if (!failedBefore) log.warn(`the engine at ${url} serves nothing: ${found.problem}`)
    } else if (before === undefined || failedBefore)
      log.info({ models: found.length }, `the engine at ${url} serves; it runs unsandboxed`)
  }
}

/** An engine that there is not. */
function notServed(source: ExternalSource, onEvent: (event: EngineEvent) => void): Engine {
  const message = `no engine of this machine serves ${source.modelId} now`
  queueMicrotask(() =>
    onEvent({ type: 'load_failed', error: { code: 'model_load_failed', message } }),
  )
  return { pid: undefined, run: () => {}, cancel: () => {}, close: () => Promise.resolve() }
}
