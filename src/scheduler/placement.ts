import type { Failure } from '../protocol/errors.ts'
import type { AgentId } from '../protocol/ids.ts'
import type { ModelFacts } from './event.ts'
import { infeasible } from './feasibility.ts'
import type { Agent, Fleet, Instance } from './fleet.ts'
import { compareCandidates, type Candidate } from './ranking.ts'

/** Where a job could go now. Deciding changes nothing; the scheduler acts on it. */
export type Placement =
  | {
      readonly type: 'lease'
      readonly agent: Agent
      readonly instance: Instance
      readonly fallbacks: readonly AgentId[]
    }
  | { readonly type: 'load'; readonly agent: Agent; readonly model: ModelFacts }
  | { readonly type: 'wait' }
  | { readonly type: 'refuse'; readonly error: Failure }

/**
 * The decision, numbered as in README.md.
 * @param tried agents that failed this job and are not asked again
 */
export function choosePlacement(
  fleet: Fleet,
  model: ModelFacts,
  tried: ReadonlySet<AgentId>,
): Placement {
  const { free, busy } = holdersOf(fleet, model, tried)
  // 1. A feasible agent holds the model and has a free slot: the best of them, the others are the fallbacks.
  const best = free[0]
  if (best?.instance !== undefined) {
    const fallbacks = free.slice(1).map(candidate => candidate.agent.id)
    return { type: 'lease', agent: best.agent, instance: best.instance, fallbacks }
  }
  // 2. An agent without the model can load it: any feasible one when nobody holds it, else only an idle one.
  const loader = bestLoader(fleet, model, tried, busy === 0)
  if (loader !== undefined) return { type: 'load', agent: loader, model }
  // 3. The holders are busy: wait for a slot.
  if (busy > 0) return { type: 'wait' }
  // 4. Nobody can.
  return { type: 'refuse', error: whyNobody(fleet, model, tried) }
}

type Holders = { readonly free: readonly Candidate[]; readonly busy: number }

function holdersOf(fleet: Fleet, model: ModelFacts, tried: ReadonlySet<AgentId>): Holders {
  const free: Candidate[] = []
  let busy = 0
  for (const agent of fleet.holders(model.sha256)) {
    if (tried.has(agent.id) || infeasible(agent, model, fleet) !== null) continue
    const instance = fleet.instanceOf(agent, model)
    if (instance === undefined) continue
    if (instance.leases.size < instance.slots) free.push({ agent, instance })
    else busy++
  }
  return { free: free.sort(compareCandidates), busy }
}

function bestLoader(
  fleet: Fleet,
  model: ModelFacts,
  tried: ReadonlySet<AgentId>,
  nobodyHoldsIt: boolean,
): Agent | undefined {
  let best: Candidate | undefined
  for (const agent of fleet.agents.values()) {
    if (tried.has(agent.id) || (!nobodyHoldsIt && agent.leaseCount > 0)) continue
    if (fleet.instanceOf(agent, model) !== undefined) continue
    if (infeasible(agent, model, fleet) !== null) continue
    const candidate = { agent, instance: undefined }
    if (best === undefined || compareCandidates(candidate, best) < 0) best = candidate
  }
  return best?.agent
}

function whyNobody(fleet: Fleet, model: ModelFacts, tried: ReadonlySet<AgentId>): Failure {
  const reasons = new Map<string, number>()
  for (const agent of fleet.agents.values()) {
    const reason = tried.has(agent.id) ? 'failed this request' : infeasible(agent, model, fleet)
    if (reason !== null) reasons.set(reason, (reasons.get(reason) ?? 0) + 1)
  }
  const told = [...reasons].slice(0, reasonsToldMax).map(([why, agents]) => `${agents} × ${why}`)
  const why = told.length === 0 ? 'no agent is connected' : told.join('; ')
  return { code: 'no_capable_agent', message: `no agent can serve ${model.name} now: ${why}` }
}

const reasonsToldMax = 5
