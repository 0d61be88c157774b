import type { AgentId } from '../../protocol/ids.ts'
import type { AgentStanding } from '../../scheduler/liveness.ts'
import type { SeekStandby } from '../relay/relay-command.ts'
import type { Flight } from './flight.ts'

/**
 * Whether a stream's silence has a reason that nobody has to flee from. While an agent computes a prompt for one stream,
 * its others wait for whole pieces of it, on a slow machine for seconds. A second agent would have to compute a prompt too,
 * and its own streams would stall next. So such a stall counts only if the agent does not answer a ping either: it is asked
 * for one at the first silence, and has until the next question.
 */
export class StallJudge {
  readonly #flights: Iterable<Flight>
  /** Of this tick: agents that compute a prompt, or not. */
  readonly #isBeginning = new Map<AgentId, boolean>()

  constructor(flights: Iterable<Flight>) {
    this.#flights = flights
  }

  /** Time has passed: what was found is out of date. */
  forget(): void {
    this.#isBeginning.clear()
  }

  /** @param liveness of the agent now; undefined: it is not connected */
  excuses(
    { agentId, again, reason }: SeekStandby,
    liveness: AgentStanding['liveness'] | undefined,
  ): boolean {
    // It has answered since.
    if (reason === 'silent') return liveness === 'green'
    if (reason !== 'stalled' || !this.#computesPrompt(agentId)) return false
    return !again || liveness === 'green'
  }

  #computesPrompt(agentId: AgentId): boolean {
    const known = this.#isBeginning.get(agentId)
    if (known !== undefined) return known
    let found = false
    for (const { relay } of this.#flights) found ||= relay.isBeginningOn(agentId)
    this.#isBeginning.set(agentId, found)
    return found
  }
}
