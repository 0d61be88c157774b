import type { PromptPrefix } from '../../src/scheduler/prefix-affinity.ts'

/** A chat request as it will really be; what a policy may know of it is its model and its prefixes. */
export type Request = {
  readonly id: number
  readonly conversation: number
  readonly tenant: number
  readonly model: 'small' | 'large'
  readonly arrivesMs: number
  readonly promptTokens: number
  readonly answerTokens: number
  /** The common start of all prompts of the tenant. */
  readonly systemTokens: number
  readonly prefixes: readonly PromptPrefix[]
}

export type TraceShape = {
  readonly conversationsPerS: number
  readonly durationMs: number
  readonly random: () => number
}

const tenants = 12
/** The first ones, with 58 % of the conversations between them. */
export const heavyTenants = 4
const turnsMean = 5
/** Somebody reads the answer and writes. */
const thinkMs = 25_000
const largeShare = 0.25
const contextTokens = 8_000

/**
 * Conversations of several tenants, each with a system prompt of its own; they begin at random (Poisson), and their turns
 * come when they come, whatever the pool does (an open loop). Each turn's prompt is the one before with its answer and more.
 */
export function traceOf({ conversationsPerS, durationMs, random }: TraceShape): readonly Request[] {
  const systems = Array.from({ length: tenants }, () => Math.round(100 * 2 ** (5 * random())))
  const requests: Omit<Request, 'id'>[] = []
  let beginsMs = 0
  for (let conversation = 0; beginsMs < durationMs; conversation++) {
    beginsMs += exponential(1_000 / conversationsPerS, random)
    // Some tenants have far more to ask than others.
    const tenant = Math.floor(tenants * random() ** 2)
    const model = random() < largeShare ? 'large' : 'small'
    const systemTokens = systems[tenant] ?? 0
    const prefixes = [{ hash: hashOf(tenant, model === 'large' ? 1 : 0), tokens: systemTokens }]
    let [arrivesMs, tokens] = [beginsMs, systemTokens]
    for (let turn = 0; turn === 0 || random() < 1 - 1 / turnsMean; turn++) {
      tokens += skewed(120, random)
      prefixes.push({ hash: hashOf(conversation + tenants, 2 * turn + 2), tokens })
      const answerTokens = skewed(180, random)
      if (tokens + answerTokens > contextTokens || arrivesMs > durationMs) break
      requests.push({
        conversation,
        tenant,
        model,
        arrivesMs,
        promptTokens: tokens,
        answerTokens,
        systemTokens,
        prefixes: [...prefixes],
      })
      tokens += answerTokens
      prefixes.push({ hash: hashOf(conversation + tenants, 2 * turn + 3), tokens })
      arrivesMs += exponential(thinkMs, random) + 50 * answerTokens
    }
  }
  return requests
    .toSorted((a, b) => a.arrivesMs - b.arrivesMs)
    .map((request, id) => ({ id, ...request }))
}

const exponential = (mean: number, random: () => number): number => -mean * Math.log(1 - random())

/** Mostly somewhat less than the median, sometimes a multiple of it. */
function skewed(median: number, random: () => number): number {
  const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
  return Math.min(2_000, Math.max(8, Math.round(median * Math.exp(0.8 * normal))))
}

const hashOf = (one: number, other: number): number => one * 65_536 + other
