import type { Instant } from '../clock.ts'
import type { ModelMetrics } from '../protocol/agent-metrics.ts'
import { agentLimits } from './agent-limits.ts'

type Job = {
  readonly engine: number
  readonly model: string
  startedAt: Instant | null
  promptTokens: number
  cachedTokens: number
  firstTokenAt: Instant | null
  lastTokenAt: Instant
  tokens: number
}

/** Tokens and the time they took, older ones counting less and less. */
type Rate = { tokens: number; ms: number }

type Figures = {
  readonly prefill: Rate
  readonly decode: Rate
  jobsFinished: number
  promptTokens: number
  cachedTokens: number
  answerTokens: number
}

/** What a model's jobs amount to: a part of `ModelMetrics`. */
export type JobFigures = Pick<
  ModelMetrics,
  | 'prefill_tokens_per_s'
  | 'decode_tokens_per_s'
  | 'jobs_finished'
  | 'prompt_tokens'
  | 'cached_tokens'
  | 'answer_tokens'
>

/** Share of the former sums that is left after one more job: about the last ten count. */
const decay = 0.9

/** Measures what jobs do, by model, from what engines say of them. Pure; costs a lookup a token. */
export class ModelFigures {
  readonly #jobs = new Map<number, Job>()
  readonly #figures = new Map<string, Figures>()

  /** @param key any number that is the job's own */
  began(key: number, engine: number, model: string): void {
    this.#jobs.set(key, {
      engine,
      model,
      startedAt: null,
      promptTokens: 0,
      cachedTokens: 0,
      firstTokenAt: null,
      lastTokenAt: 0,
      tokens: 0,
    })
  }

  /** The prompt is known. An engine that knows its tokens later says it again. */
  started(key: number, promptTokens: number, cachedTokens: number, now: Instant): void {
    const job = this.#jobs.get(key)
    if (job === undefined) return
    job.startedAt ??= now
    job.promptTokens = promptTokens
    job.cachedTokens = Math.min(cachedTokens, promptTokens)
  }

  token(key: number, now: Instant): void {
    const job = this.#jobs.get(key)
    if (job === undefined) return
    job.firstTokenAt ??= now
    job.lastTokenAt = now
    job.tokens++
  }

  /** The job is over; what a job that did not finish has shown counts too. */
  ended(key: number, finished: boolean): void {
    const job = this.#jobs.get(key)
    if (job === undefined) return
    this.#jobs.delete(key)
    const figures = this.#of(job.model)
    if (finished) figures.jobsFinished++
    figures.promptTokens += job.promptTokens
    figures.cachedTokens += job.cachedTokens
    figures.answerTokens += job.tokens
    const { startedAt, firstTokenAt, lastTokenAt } = job
    if (startedAt === null || firstTokenAt === null) return
    add(figures.prefill, job.promptTokens - job.cachedTokens, firstTokenAt - startedAt)
    add(figures.decode, job.tokens - 1, lastTokenAt - firstTokenAt)
  }

  /** The engine is gone, and its jobs with it. */
  engineGone(engine: number): void {
    for (const [key, job] of this.#jobs) if (job.engine === engine) this.ended(key, false)
  }

  of(model: string): JobFigures {
    const figures = this.#figures.get(model)
    return {
      prefill_tokens_per_s: perSecond(figures?.prefill),
      decode_tokens_per_s: perSecond(figures?.decode),
      jobs_finished: figures?.jobsFinished ?? 0,
      prompt_tokens: figures?.promptTokens ?? 0,
      cached_tokens: figures?.cachedTokens ?? 0,
      answer_tokens: figures?.answerTokens ?? 0,
    }
  }

  #of(model: string): Figures {
    const known = this.#figures.get(model)
    if (known !== undefined) return known
    const oldest = this.#figures.keys().next()
    if (this.#figures.size >= agentLimits.modelFiguresMax && oldest.done !== true)
      this.#figures.delete(oldest.value)
    const figures: Figures = {
      prefill: { tokens: 0, ms: 0 },
      decode: { tokens: 0, ms: 0 },
      jobsFinished: 0,
      promptTokens: 0,
      cachedTokens: 0,
      answerTokens: 0,
    }
    this.#figures.set(model, figures)
    return figures
  }
}

function add(rate: Rate, tokens: number, ms: number): void {
  if (tokens <= 0 || ms <= 0) return
  rate.tokens = rate.tokens * decay + tokens
  rate.ms = rate.ms * decay + ms
}

const perSecond = (rate: Rate | undefined): number | null =>
  rate === undefined || rate.ms === 0 ? null : Math.round((rate.tokens / rate.ms) * 10_000) / 10
