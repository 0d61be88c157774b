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
import {
  expectedMs,
  isBestFit,
  isNearly,
  notInHeap,
  stepsPerDoubling,
  type Candidate,
} from './ranking.ts'

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
    const chosen =
      fallbackOf(holders, wish, best) ??
      (keeper === undefined ? trialOf(holders, wish, best) : undefined) ??
      soonest(inOrder, wish, keeper, kept)
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
  { agent, agentId, instance }: Candidate,
  inOrder: readonly Candidate[],
  better: Agent | null,
  continuedTokens: number,
): Placement {
  if (instance === undefined) throw new Error('who has a free slot has an instance')
  const fallbacks: AgentId[] = []
  for (const other of inOrder)
    if (other.agentId !== agentId && fallbacks.length < fallbacksMax) fallbacks.push(other.agentId)
  return { type: 'lease', agent, instance, continuedTokens, fallbacks, better }
}

/**
 * The order is that of a typical job. Of the first ones that fit as well as the best, and whoever has the start of the prompt,
 * the one that is expected to be done with this job first: so a short common start weighs little, and a long one does not
 * outweigh any load.
 */
function soonest(
  inOrder: readonly Candidate[],
  { prefixes }: Wish,
  keeper: Candidate | undefined,
  kept: KeptPrefix | undefined,
): Candidate {
  const [best] = inOrder
  if (best === undefined) throw new Error('there is nobody to choose from')
  const promptTokens = prefixes.at(-1)?.tokens
  if (promptTokens === undefined) return best
  let soonest = best
  let ms = expectedMs(best, promptTokens)
  for (const candidate of inOrder) {
    if (candidate.rank > best.rank) break
    const candidateMs = expectedMs(candidate, promptTokens)
    if (candidateMs < ms) [soonest, ms] = [candidate, candidateMs]
  }
  if (keeper === undefined || kept === undefined) return soonest
  return expectedMs(keeper, promptTokens - kept.tokens) <= ms ? keeper : soonest
}

/** Who has the start of the prompt, if it has a free slot and fits as well as the best. */
function keeperOf(
  holders: Holders,
  { needs, avoided, banned }: Wish,
  best: Candidate,
  { instance }: KeptPrefix,
): Candidate | undefined {
  const candidate = holders.freeOn(instance.agentId)
  if (candidate?.instance !== instance || candidate.rank > best.rank) return undefined
  const { agent } = candidate
  const may = !avoided.has(agent.id) && !banned.has(agent.id) && knowsAll(agent, needs)
  return may ? candidate : undefined
}

/** No trial for a job that was interrupted, or where a better fit is free. */
function trialOf(
  { trials }: Holders,
  { needs, avoided, banned }: Wish,
  best: Candidate,
): Candidate | undefined {
  if (avoided.size > 0 || banned.size > 0) return undefined
  return trials.next(
    candidate =>
      candidate.slot !== notInHeap &&
      candidate.rank <= best.rank &&
      knowsAll(candidate.agent, needs),
  )
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
  if (banned.size === 0 && avoided.size === 0 && needs.length === 0)
    return free.best(1 + fallbacksMax, null)
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
