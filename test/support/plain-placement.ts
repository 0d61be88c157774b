import type { Instant } from '../../src/clock.ts'
import { instanceOf, type Agent } from '../../src/scheduler/agent.ts'
import type { ModelFacts } from '../../src/scheduler/event.ts'
import { obstacle } from '../../src/scheduler/feasibility.ts'
import type { Wish } from '../../src/scheduler/loaders.ts'
import { fallbackStepsMore } from '../../src/scheduler/placement.ts'
import {
  candidateOf,
  compareCandidates,
  isBestFit,
  isNearly,
  type Candidate,
} from '../../src/scheduler/ranking.ts'

export type PlainPlacement = {
  readonly type: 'lease' | 'load' | 'wait' | 'refuse'
  /** In order: who gets the job, then who could take over. */
  readonly agents: readonly string[]
  /** Who is to load the model for those to come. */
  readonly better: string | null
}

/**
 * The scheduler's decision as one would write it without an index: look at everybody, leave out who cannot, sort. What the
 * index is held against, in its test and in its benchmark.
 */
export function plainPlacement(
  agents: Iterable<Readonly<Agent>>,
  model: ModelFacts,
  wish: Wish,
  now: Instant,
  largerMb = Infinity,
): PlainPlacement {
  const all = [...agents] as Agent[]
  const byRank = (a: Candidate, b: Candidate) =>
    Number(wish.avoided.has(a.agent.id)) - Number(wish.avoided.has(b.agent.id)) ||
    compareCandidates(a, b)
  const able = all
    .filter(agent => !wish.banned.has(agent.id) && obstacle(agent, model, now, wish.needs) === null)
    .map(agent => candidateOf(agent, model, instanceOf(agent, model), largerMb))
    .sort(byRank)
  const holders = able.filter(({ instance }) => instance !== undefined)
  const free = holders.filter(
    ({ instance }) => (instance?.leases.size ?? 0) < (instance?.slots ?? 0),
  )
  const [best] = free
  if (best !== undefined) {
    const others = free.filter(({ agent }) => !wish.avoided.has(agent.id))
    const order = others.length > 0 ? others : free
    const named = wish.fallbacks.map(id => others.find(({ agent }) => agent.id === id))
    const chosen =
      named.find(each => each !== undefined && isNearly(each, best, fallbackStepsMore)) ?? best
    return {
      type: 'lease',
      agents: [chosen, ...order.filter(each => each !== chosen)].map(({ agent }) => agent.id),
      better: isBestFit(chosen) ? null : betterThanAll(all, model, now, largerMb),
    }
  }
  const loaders = able.filter(
    ({ agent, instance }) =>
      instance === undefined && (holders.length === 0 || agent.leaseCount === 0),
  )
  const [loader] = loaders
  if (loader !== undefined) return { type: 'load', agents: [loader.agent.id], better: null }
  const mayReturn = all.some(
    agent =>
      !wish.banned.has(agent.id) && obstacle(agent, model, now, wish.needs)?.passing === true,
  )
  const type = holders.length > 0 || mayReturn ? 'wait' : 'refuse'
  return { type, agents: [], better: null }
}

function betterThanAll(
  all: readonly Agent[],
  model: ModelFacts,
  now: Instant,
  largerMb: number,
): string | null {
  const able = all
    .filter(agent => obstacle(agent, model, now) === null)
    .map(agent => candidateOf(agent, model, instanceOf(agent, model), largerMb))
    .sort(compareCandidates)
  const held = able.filter(({ instance }) => instance !== undefined)
  const bestFit = Math.min(...held.map(({ fitRank }) => fitRank))
  const loader = able.find(
    ({ agent, instance, fitRank }) =>
      instance === undefined && agent.leaseCount === 0 && fitRank < bestFit,
  )
  return loader?.agent.id ?? null
}
