import type { AgentId } from '../../protocol/ids.ts'

/** First tokens that an agent's history of a model holds, and how many make one. */
const samplesKept = 32
const samplesMin = 8
/** Agents and models together; the one that was used longest ago goes first. */
export const historiesMax = 10_000
/** Late is twice what 19 of 20 first tokens took. */
const lateQuantile = 0.95
const lateRatio = 2
/** Nobody is hedged for less. */
export const hedgeAfterMinMs = 250
/** Second agents for at most so many of all requests, and so many at once after a quiet time: a pool that is late as a whole must not get twice the work. */
const hedgesPerRequest = 0.05
const hedgesSavedMax = 10
/** A prompt takes time by its length. What a request costs beside it, in bytes of a job that would take as long. */
const baseBytes = 2_048

type History = { readonly msPerByte: Float64Array; samples: number }

/**
 * When a first token is so late that a second agent should race: beyond what the agent's own history with the model says,
 * in proportion to the job's size. Nothing about an agent that is merely slow is late.
 */
export class Hedging {
  readonly #histories = new Map<string, History>()
  #saved = 0

  /** A request has come. */
  requested(): void {
    this.#saved = Math.min(hedgesSavedMax, this.#saved + hedgesPerRequest)
  }

  /** @returns when this agent's first token is late, in milliseconds from its assignment; null: its history does not tell */
  afterMs(agentId: AgentId, model: string, jobBytes: number): number | null {
    const history = this.#histories.get(keyOf(agentId, model))
    if (history === undefined || history.samples < samplesMin) return null
    const sorted = history.msPerByte.slice(0, Math.min(history.samples, samplesKept)).sort()
    const usual = sorted[Math.floor(lateQuantile * (sorted.length - 1))] ?? 0
    return Math.max(hedgeAfterMinMs, lateRatio * usual * (baseBytes + jobBytes))
  }

  /** The first token has come, or had not when another agent's was there. */
  began(agentId: AgentId, model: string, jobBytes: number, afterMs: number): void {
    const key = keyOf(agentId, model)
    const history = this.#histories.get(key) ?? {
      msPerByte: new Float64Array(samplesKept),
      samples: 0,
    }
    history.msPerByte[history.samples++ % samplesKept] = afterMs / (baseBytes + jobBytes)
    this.#histories.delete(key)
    this.#histories.set(key, history)
    if (this.#histories.size <= historiesMax) return
    for (const oldest of this.#histories.keys()) {
      this.#histories.delete(oldest)
      return
    }
  }

  /** Takes one of those that are left. @returns false: there is none */
  take(): boolean {
    if (this.#saved < 1) return false
    this.#saved--
    return true
  }
}

const keyOf = (agentId: AgentId, model: string): string => `${agentId} ${model}`
