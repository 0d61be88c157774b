import type { Instant } from '../clock.ts'
import type { Failure } from '../protocol/errors.ts'
import type { AgentId } from '../protocol/ids.ts'
import { instanceOf, type Agent, type Instance, type Place } from './agent.ts'
import { CandidateHeap } from './candidate-heap.ts'
import type { ModelFacts } from './event.ts'
import { obstacle } from './feasibility.ts'
import { largerModelMb } from './model-needs.ts'
import {
  candidateOf,
  fitRanksMax,
  notInHeap,
  rankAnew,
  weighAnew,
  type Candidate,
} from './ranking.ts'
import { Trials } from './trials.ts'

/** Who holds one catalogue entry and may be given work, kept up to date by every event, so that a decision looks at few. */
export class Holders {
  readonly model: ModelFacts
  /** GPU memory from which a machine could hold a larger model of the catalogue. */
  readonly largerMb: number
  /** Those with a free slot, best first. */
  readonly free = new CandidateHeap()
  /** Those with and without. */
  readonly all = new Map<AgentId, Candidate>()
  /**
   * Per need (features of a job) and limit of fit: up to which piece of news it is known that no agent with nothing to do
   * would load the model. A decision then looks only at the agents of whom there has been news since.
   */
  readonly loaderless = new Map<string, number>()
  /** What was found out when nobody held it (null: wait), and at which version of the fleet. */
  unheld: {
    readonly error: Failure | null
    readonly version: number
    readonly at: Instant
  } | null = null
  readonly trials = new Trials()
  readonly #byFit = Array.from({ length: fitRanksMax }, () => 0)

  constructor(model: ModelFacts, largerMb = Infinity) {
    this.model = model
    this.largerMb = largerMb
  }

  /** How the best of all holders has the model, the busy ones and those that still load included; Infinity: nobody has it. */
  get bestFitRank(): number {
    const rank = this.#byFit.findIndex(count => count > 0)
    return rank === -1 ? Infinity : rank
  }

  /** @returns the agent's entry, if it has a free slot */
  freeOn(agentId: AgentId): Candidate | undefined {
    const candidate = this.all.get(agentId)
    return candidate === undefined || candidate.slot === notInHeap ? undefined : candidate
  }

  add(candidate: Candidate): void {
    this.all.set(candidate.agent.id, candidate)
    this.#count(candidate, 1)
    this.trials.judge(candidate)
    if (hasRoom(candidate)) this.free.add(candidate)
  }

  remove(candidate: Candidate): void {
    this.all.delete(candidate.agent.id)
    this.#count(candidate, -1)
    this.trials.forget(candidate)
    if (candidate.slot !== notInHeap) this.free.remove(candidate)
  }

  /** A lease was given. */
  given(agentId: AgentId): void {
    this.trials.given(this.trials.size === 0 ? undefined : this.all.get(agentId))
  }

  /** Its agent's reliability or latency has changed. */
  rated(candidate: Candidate): void {
    rankAnew(candidate)
    this.trials.judge(candidate)
    if (candidate.slot !== notInHeap) this.free.moved(candidate)
  }

  /**
   * A lease of its agent was given or has ended.
   * @param leased the instance that it is of; what else the agent holds has as many free slots as before
   */
  weighed(candidate: Candidate, jobs: number, leased: Instance): void {
    const before = candidate.key
    weighAnew(candidate, jobs)
    const isIn = candidate.slot !== notInHeap
    const isFree = candidate.instance === leased ? hasRoom(candidate) : isIn
    if (isFree && !isIn) this.free.add(candidate)
    else if (isIn && !isFree) this.free.remove(candidate)
    else if (isIn && candidate.key !== before) this.free.moved(candidate)
  }

  #count({ fitRank }: Candidate, by: number): void {
    this.#byFit[fitRank] = (this.#byFit[fitRank] ?? 0) + by
  }
}

const hasRoom = ({ instance }: Candidate): boolean =>
  instance !== undefined && instance.leases.size < instance.slots

/** The holders of every catalogue entry. */
export class HolderIndex {
  readonly #byName = new Map<string, Holders>()
  readonly #bySha256 = new Map<string, Holders[]>()

  of(model: string): Holders | undefined {
    return this.#byName.get(model)
  }

  /** Starts over: whoever holds something is to be entered anew. */
  setCatalogue(models: readonly ModelFacts[]): void {
    this.#byName.clear()
    this.#bySha256.clear()
    for (const model of models)
      this.#byName.set(model.name, new Holders(model, largerModelMb(model, models)))
    for (const holders of this.#byName.values()) {
      const { sha256 } = holders.model
      this.#bySha256.set(sha256, [...(this.#bySha256.get(sha256) ?? []), holders])
    }
  }

  /** Everything about the agent but its leases may have changed. */
  enter(agent: Agent, now: Instant): void {
    this.leave(agent)
    const places: Place[] = []
    const files = new Set<string>()
    for (const { modelSha256 } of agent.instances.values()) files.add(modelSha256)
    for (const file of files)
      for (const holders of this.#bySha256.get(file) ?? []) {
        const { model, largerMb } = holders
        const instance = instanceOf(agent, model)
        if (instance === undefined || obstacle(agent, model, now) !== null) continue
        const candidate = candidateOf(agent, model, instance, largerMb)
        places.push(new HolderPlace(holders, candidate))
      }
    agent.places = places
  }

  leave(agent: Agent): void {
    for (const place of agent.places) place.leave()
    agent.places = []
  }
}

class HolderPlace implements Place {
  readonly #holders: Holders
  readonly #candidate: Candidate

  constructor(holders: Holders, candidate: Candidate) {
    this.#holders = holders
    this.#candidate = candidate
    holders.add(candidate)
  }

  weighed(jobs: number, leased: Instance): void {
    this.#holders.weighed(this.#candidate, jobs, leased)
  }

  rated(): void {
    this.#holders.rated(this.#candidate)
  }

  leave(): void {
    this.#holders.remove(this.#candidate)
  }
}
