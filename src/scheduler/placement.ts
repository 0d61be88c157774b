import type { Instant } from '../clock.ts'
import type { Failure } from '../protocol/errors.ts'
import type { AgentId } from '../protocol/ids.ts'
import type { ProtocolFeature } from '../protocol/version.ts'
import type { ModelFacts } from './event.ts'
import { obstacle } from './feasibility.ts'
import type { Agent, Fleet, Instance } from './fleet.ts'
import { candidateOf, compareCandidates, isBestFit, type Candidate } from './ranking.ts'

/** What a job asks for. */
export type Wish = {
  readonly model: ModelFacts
  /** Features that an agent must have listed. */
  readonly needs: readonly ProtocolFeature[]
  /** Agents that are taken only when there is no other. */
  readonly avoided: ReadonlySet<AgentId>
  /** Agents that are not asked again. */
  readonly banned: ReadonlySet<AgentId>
}

/** Where a job could go now. Deciding changes nothing; the scheduler acts on it. */
export type Placement =
  | {
      readonly type: 'lease'
      readonly agent: Agent
      readonly instance: Instance
      readonly fallbacks: readonly AgentId[]
      /** An idle agent that would hold the model better than every holder does, and should load it for those to come. */
      readonly better: Agent | null
    }
  | { readonly type: 'load'; readonly agent: Agent }
  | { readonly type: 'wait' }
  | { readonly type: 'refuse'; readonly error: Failure }

/** The decision, numbered as in README.md. */
export function choosePlacement(fleet: Fleet, wish: Wish, now: Instant): Placement {
  const { free, busy, bestFitRank } = holdersOf(fleet, wish, now)
  // 1. A feasible agent holds the model and has a free slot: the best of them, the others are the fallbacks. Where the
  //    holders only make do, a better machine loads it meanwhile.
  const best = free[0]
  if (best?.instance !== undefined) {
    const fallbacks = free.slice(1).map(candidate => candidate.agent.id)
    const better = isBestFit(best) ? null : betterLoader(fleet, wish, now, bestFitRank)
    return { type: 'lease', agent: best.agent, instance: best.instance, fallbacks, better }
  }
  // 2. An agent without the model can load it: any feasible one when nobody holds it, else only an idle one.
  const loader = bestLoader(fleet, wish, now, busy === 0)
  if (loader !== undefined) return { type: 'load', agent: loader.agent }
  // 3. The holders are busy, or somebody may be back in a moment: wait.
  if (busy > 0 || someoneMayReturn(fleet, wish, now)) return { type: 'wait' }
  // 4. Nobody can.
  return { type: 'refuse', error: whyNobody(fleet, wish, now) }
}

type Holders = {
  readonly free: readonly Candidate[]
  readonly busy: number
  /** Of all holders, the busy ones and those that still load included. */
  readonly bestFitRank: number
}

function holdersOf(fleet: Fleet, wish: Wish, now: Instant): Holders {
  const free: Candidate[] = []
  let busy = 0
  let bestFitRank = Infinity
  for (const agent of fleet.holders(wish.model.sha256)) {
    const instance = fleet.instanceOf(agent, wish.model)
    if (instance === undefined || wish.banned.has(agent.id)) continue
    if (obstacle(fleet, agent, wish.model, now, wish.needs) !== null) continue
    const candidate = candidateOf(agent, wish.model, instance, wish.avoided.has(agent.id))
    bestFitRank = Math.min(bestFitRank, candidate.fitRank)
    if (instance.leases.size < instance.slots) free.push(candidate)
    else busy++
  }
  return { free: free.sort(compareCandidates), busy, bestFitRank }
}

function bestLoader(
  fleet: Fleet,
  wish: Wish,
  now: Instant,
  nobodyHoldsIt: boolean,
): Candidate | undefined {
  let best: Candidate | undefined
  for (const agent of fleet.agents.values()) {
    if (wish.banned.has(agent.id) || (!nobodyHoldsIt && agent.leaseCount > 0)) continue
    if (fleet.instanceOf(agent, wish.model) !== undefined) continue
    if (obstacle(fleet, agent, wish.model, now, wish.needs) !== null) continue
    const candidate = candidateOf(agent, wish.model, undefined, wish.avoided.has(agent.id))
    if (best === undefined || compareCandidates(candidate, best) < 0) best = candidate
  }
  return best
}

function betterLoader(fleet: Fleet, wish: Wish, now: Instant, than: number): Agent | null {
  const loader = bestLoader(fleet, wish, now, false)
  return loader !== undefined && loader.fitRank < than ? loader.agent : null
}

function someoneMayReturn(fleet: Fleet, wish: Wish, now: Instant): boolean {
  for (const agent of fleet.agents.values())
    if (
      !wish.banned.has(agent.id) &&
      obstacle(fleet, agent, wish.model, now, wish.needs)?.passing === true
    )
      return true
  return false
}

function whyNobody(fleet: Fleet, { model, needs, banned }: Wish, now: Instant): Failure {
  const reasons = new Map<string, number>()
  for (const agent of fleet.agents.values()) {
    const reason = banned.has(agent.id)
      ? 'failed this request'
      : obstacle(fleet, agent, model, now, needs)?.reason
    if (reason !== undefined) reasons.set(reason, (reasons.get(reason) ?? 0) + 1)
  }
  const told = [...reasons].slice(0, reasonsToldMax).map(([why, agents]) => `${agents} × ${why}`)
  const why = told.length === 0 ? 'no agent is connected' : told.join('; ')
  return { code: 'no_capable_agent', message: `no agent can serve ${model.name} now: ${why}` }
}

const reasonsToldMax = 5
