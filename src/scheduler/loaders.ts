import type { Instant } from '../clock.ts'
import type { AgentId } from '../protocol/ids.ts'
import type { ProtocolFeature } from '../protocol/version.ts'
import { instanceOf, type Agent } from './agent.ts'
import { obstacle } from './feasibility.ts'
import type { Fleet } from './fleet.ts'
import type { Holders } from './holders.ts'
import type { PromptPrefix } from './prefix-affinity.ts'
import { candidateOf, compareCandidates, type Candidate } from './ranking.ts'

/** What a job asks for. */
export type Wish = {
  /** Features that an agent must have listed. */
  readonly needs: readonly ProtocolFeature[]
  /** Agents that are taken only when there is no other. */
  readonly avoided: ReadonlySet<AgentId>
  /** Agents that are not asked again. */
  readonly banned: ReadonlySet<AgentId>
  /** Agents that were to take over when it was placed before, best first. */
  readonly fallbacks: readonly AgentId[]
  /** Starts of its prompt, from short to long. */
  readonly prefixes: readonly PromptPrefix[]
}

/** @returns the best agent that has nothing to do and could load the model, while those that hold it are busy */
export function idleLoader(
  fleet: Fleet,
  holders: Holders,
  wish: Wish,
  now: Instant,
): Candidate | undefined {
  return rememberedLoader(fleet, holders, wish, now, Infinity)
}

/** @returns the best agent that has nothing to do and would hold the model better than everybody who holds it */
export function betterLoader(fleet: Fleet, holders: Holders, now: Instant): Agent | null {
  const limit = holders.bestFitRank
  return rememberedLoader(fleet, holders, anybody, now, limit)?.agent ?? null
}

const anybody: Wish = {
  needs: [],
  avoided: new Set(),
  banned: new Set(),
  fallbacks: [],
  prefixes: [],
}

/** @param fitLimit only a better fit counts */
function rememberedLoader(
  fleet: Fleet,
  holders: Holders,
  wish: Wish,
  now: Instant,
  fitLimit: number,
): Candidate | undefined {
  const { loaderless } = holders
  const key = `${fitLimit} ${wish.needs.join(' ')}`
  const seen = loaderless.get(key)
  if (seen === fleet.news.count) return undefined
  const suspects = seen === undefined ? null : fleet.news.since(seen)
  const wanted = (agent: Agent) => fleet.agents.get(agent.id) === agent && agent.leaseCount === 0
  const idle = [...(suspects ?? fleet.agents.values())].filter(wanted)
  const best = loaderAmong(idle, holders, wish, now, fitLimit)
  // What a job may not have, another one may.
  if (best === undefined && wish.banned.size === 0) loaderless.set(key, fleet.news.count)
  return best
}

/** @returns the best of them that could load the model */
export function loaderAmong(
  agents: Iterable<Agent>,
  { model, largerMb }: Holders,
  { needs, avoided, banned }: Wish,
  now: Instant,
  fitLimit = Infinity,
): Candidate | undefined {
  let best: Candidate | undefined
  for (const agent of agents) {
    if (banned.has(agent.id) || instanceOf(agent, model) !== undefined) continue
    if (obstacle(agent, model, now, needs) !== null) continue
    const candidate = candidateOf(agent, model, undefined, largerMb)
    if (candidate.fitRank >= fitLimit) continue
    if (best === undefined || isBefore(candidate, best, avoided)) best = candidate
  }
  return best
}

const isBefore = (one: Candidate, other: Candidate, avoided: ReadonlySet<string>): boolean =>
  (Number(avoided.has(one.agent.id)) - Number(avoided.has(other.agent.id)) ||
    compareCandidates(one, other)) < 0
