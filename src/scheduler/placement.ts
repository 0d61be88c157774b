import type { Instant } from '../clock.ts'
import type { Failure } from '../protocol/errors.ts'
import type { AgentId } from '../protocol/ids.ts'
import type { Agent, Instance } from './agent.ts'
import { knowsAll, nextTryMs, obstacle } from './feasibility.ts'
import type { Obstacle } from './event.ts'
import type { Fleet } from './fleet.ts'
import type { Holders } from './holders.ts'
import { betterLoader, idleLoader, loaderAmong, type Wish } from './loaders.ts'
import type { KeptPrefix } from './prefix-affinity.ts'
import { expectedMs, isBestFit, isNearly, stepsPerDoubling, type Candidate } from './ranking.ts'

/** Where a job could go now. Deciding changes nothing; the scheduler acts on it. */
export type Placement =
  | {
      readonly type: 'lease'
      readonly agent: Agent
      readonly instance: Instance
      /** Of the prompt, that the instance has computed already. */
      readonly continuedTokens: number
      readonly fallbacks: readonly AgentId[]
      /** An idle agent that would hold the model better than every holder does, and should load it for those to come. */
      readonly better: Agent | null
    }
  | { readonly type: 'load'; readonly agent: Agent }
  | { readonly type: 'wait' }
  | { readonly type: 'refuse'; readonly error: Failure }

/** Agents named beside the one that gets the lease. A job that has failed on all of them asks anew. */
export const fallbacksMax = 3

/** The decision, numbered as in README.md. */
export function choosePlacement(
  fleet: Fleet,
  holders: Holders,
  wish: Wish,
  now: Instant,
): Placement {
  // 1. A feasible agent holds the model and has a free slot: the best of them, the next ones are the fallbacks. Where the
  //    holders only make do, a better machine loads it meanwhile.
  const inOrder = bestFree(holders, wish)
  const [best] = inOrder
  if (best !== undefined) {
    const kept = wish.prefixes.length === 0 ? undefined : fleet.prefixes.longest(wish.prefixes)
    const keeper = kept === undefined ? undefined : keeperOf(holders, wish, best, kept)
    const chosen = fallbackOf(holders, wish, best) ?? keeper ?? best
    const better = isBestFit(chosen) ? null : betterLoader(fleet, holders, now)
    return leaseOf(chosen, inOrder, better, (chosen === keeper && kept?.tokens) || 0)
  }
  // 2. An agent without the model can load it: any feasible one when nobody holds it, else only an idle one.
  const busy = someoneHolds(holders, wish)
  if (!busy) return placeUnheld(fleet, holders, wish, now)
  const loader = idleLoader(fleet, holders, wish, now)
  // 3. The holders are busy: wait.
  return loader === undefined ? wait : { type: 'load', agent: loader.agent }
}

/** Who could begin at once beside the agent that has the job: the best with the model in memory and a slot free. */
export function chooseStandby(
  { free }: Holders,
  { needs, avoided, banned }: Wish,
): Candidate | undefined {
  const may = ({ agent, instance }: Candidate) =>
    instance?.status.state === 'ready' && !banned.has(agent.id) && knowsAll(agent, needs)
  const [other] = free.best(1, each => may(each) && !avoided.has(each.agent.id))
  return other ?? free.best(1, may)[0]
}

const wait: Placement = { type: 'wait' }

function leaseOf(
  { agent, instance }: Candidate,
  inOrder: readonly Candidate[],
  better: Agent | null,
  continuedTokens: number,
): Placement {
  if (instance === undefined) throw new Error('who has a free slot has an instance')
  const fallbacks: AgentId[] = []
  for (const other of inOrder)
    if (other.agent !== agent && fallbacks.length < fallbacksMax) fallbacks.push(other.agent.id)
  return { type: 'lease', agent, instance, continuedTokens, fallbacks, better }
}

/**
 * Who has the start of the prompt goes before the best one if it fits as well, has a free slot, and is expected to be done
 * no later, with what it need not compute counted. So a short common start weighs little, and a long one does not outweigh
 * any load.
 */
function keeperOf(
  holders: Holders,
  { prefixes, needs, avoided, banned }: Wish,
  best: Candidate,
  kept: KeptPrefix,
): Candidate | undefined {
  const { agentId } = kept.instance
  const candidate = holders.freeOn(agentId)
  if (candidate?.instance !== kept.instance || candidate.rank > best.rank) return undefined
  if (avoided.has(agentId) || banned.has(agentId) || !knowsAll(candidate.agent, needs))
    return undefined
  const promptTokens = prefixes.at(-1)?.tokens ?? 0
  const remaining = promptTokens - kept.tokens
  return expectedMs(candidate, remaining) <= expectedMs(best, promptTokens) ? candidate : undefined
}

/** A job that moves goes to the first of its fallbacks that is still nearly as good as the best. */
function fallbackOf(
  holders: Holders,
  { fallbacks, needs, avoided, banned }: Wish,
  best: Candidate,
): Candidate | undefined {
  for (const id of fallbacks) {
    const candidate = holders.freeOn(id)
    if (candidate === undefined || avoided.has(id) || banned.has(id)) continue
    if (isNearly(candidate, best, fallbackStepsMore) && knowsAll(candidate.agent, needs))
      return candidate
  }
  return undefined
}

/** Up to twice the time. The list was made when the job began, and the pool may be another one by now. */
export const fallbackStepsMore = stepsPerDoubling

function bestFree({ free }: Holders, { needs, avoided, banned }: Wish): readonly Candidate[] {
  const may = ({ agent }: Candidate) =>
    (banned.size === 0 || !banned.has(agent.id)) && (needs.length === 0 || knowsAll(agent, needs))
  if (avoided.size === 0) return free.best(1 + fallbacksMax, may)
  const others = free.best(1 + fallbacksMax, each => may(each) && !avoided.has(each.agent.id))
  return others.length > 0 ? others : free.best(1 + fallbacksMax, may)
}

function someoneHolds({ all }: Holders, { needs, banned }: Wish): boolean {
  for (const { agent } of all.values())
    if (!banned.has(agent.id) && knowsAll(agent, needs)) return true
  return false
}

/** Nobody who may get the job holds the model. The answer is kept until something changes, for a second at most. */
function placeUnheld(fleet: Fleet, holders: Holders, wish: Wish, now: Instant): Placement {
  const isPlain = wish.banned.size === 0 && wish.avoided.size === 0 && wish.needs.length === 0
  const known = holders.unheld
  if (isPlain && known?.version === fleet.version && now - known.at < unheldKnownMs)
    return waitOrRefuse(known.error)
  const loader = loaderAmong(fleet.agents.values(), holders, wish, now)
  if (loader !== undefined) return { type: 'load', agent: loader.agent }
  const mayReturn = someoneMayReturn(fleet, holders, wish, now)
  const error = mayReturn ? null : whyNobody(fleet, holders, wish, now)
  if (isPlain) holders.unheld = { error, version: fleet.version, at: now }
  return waitOrRefuse(error)
}

/** 3. Somebody may be back in a moment: wait. 4. Nobody can. */
const waitOrRefuse = (error: Failure | null): Placement =>
  error === null ? wait : { type: 'refuse', error }

/** The reason tells in how many seconds a model is asked for again. */
const unheldKnownMs = 1_000

function someoneMayReturn(
  fleet: Fleet,
  { model }: Holders,
  { banned, needs }: Wish,
  now: Instant,
): boolean {
  for (const agent of fleet.agents.values())
    if (!banned.has(agent.id) && obstacle(agent, model, now, needs)?.passing === true) return true
  return false
}

function whyNobody(
  fleet: Fleet,
  { model }: Holders,
  { needs, banned }: Wish,
  now: Instant,
): Failure {
  const reasons = new Map<string, number>()
  let until = fleet.agents.size === 0 ? now + nextTryMs(now - fleet.startedAt) : Infinity
  for (const agent of fleet.agents.values()) {
    const found = banned.has(agent.id) ? failedThis : obstacle(agent, model, now, needs)
    if (found === null) continue
    reasons.set(found.reason, (reasons.get(found.reason) ?? 0) + 1)
    until = Math.min(until, found.until ?? Infinity)
  }
  const told = [...reasons].slice(0, reasonsToldMax).map(([why, agents]) => `${agents} × ${why}`)
  const why = told.length === 0 ? 'no agent is connected' : told.join('; ')
  const message = `no agent can serve ${model.name} now: ${why}`
  const retryAfter = until === Infinity ? {} : { retryAfterMs: until - now }
  return { code: 'no_capable_agent', message, ...retryAfter }
}

const failedThis: Obstacle = { reason: 'failed this request', passing: false }

const reasonsToldMax = 5
