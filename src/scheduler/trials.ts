import { reliabilityAtStart } from './reliability.ts'
import type { Candidate } from './ranking.ts'

/** One of so many leases of a model goes to somebody who has yet to earn a name. */
export const trialEvery = 16
/** Below it an agent is unproven: some ten completed requests from the start. */
const provenAt = 0.5
/** Below it an agent has failed more than it has completed, and is not tried again; what is known of it fades with time. */
const hopelessBelow = reliabilityAtStart * 0.6
/** A trial is no reason to look at many. */
const looksMax = 8

/**
 * Those that hold a model and have yet to earn their reliability. By rank they get little, and where the proven ones have
 * time, nothing, so that they would stay unproven: every sixteenth lease goes to one of them, in turns. Nobody gets a
 * second job by trial before the first has ended.
 */
export class Trials {
  /** In the order of their turns. */
  readonly #unproven = new Set<Candidate>()
  #leases = 0

  get size(): number {
    return this.#unproven.size
  }

  /** To be told when a candidate is new, or its reliability has changed. */
  judge(candidate: Candidate): void {
    const { reliability } = candidate.agent
    if (reliability < provenAt && reliability >= hopelessBelow) this.#unproven.add(candidate)
    else this.#unproven.delete(candidate)
  }

  forget(candidate: Candidate): void {
    this.#unproven.delete(candidate)
  }

  /** @returns who is to be tried now; undefined: it is no time for it, or there is nobody */
  next(accepts: (candidate: Candidate) => boolean): Candidate | undefined {
    if (this.#leases % trialEvery !== trialEvery - 1) return undefined
    let looks = 0
    for (const candidate of this.#unproven) {
      if (looks++ === looksMax) return undefined
      if (candidate.agent.leaseCount === 0 && accepts(candidate)) return candidate
    }
    return undefined
  }

  /** A lease of the model was given. */
  given(candidate: Candidate | undefined): void {
    this.#leases++
    if (candidate === undefined || !this.#unproven.delete(candidate)) return
    this.#unproven.add(candidate)
  }
}
