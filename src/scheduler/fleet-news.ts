import type { Agent } from './agent.ts'

/**
 * The agents that may have become able to load something: all changes but leases, and every agent that has nothing to do any
 * more. Bounded; who asks for news that are no longer there has to look at everybody.
 */
export class FleetNews {
  readonly #agents: Agent[] = []
  #count = 0

  /** Pieces of news so far. */
  get count(): number {
    return this.#count
  }

  add(agent: Agent): void {
    this.#agents[this.#count++ % newsKeptMax] = agent
  }

  /** @returns the agents of the news after the first `seen` pieces, some of them maybe twice; null: too long ago */
  since(seen: number): readonly Agent[] | null {
    if (this.#count - seen > newsKeptMax) return null
    const agents: Agent[] = []
    for (let at = seen; at < this.#count; at++) {
      const agent = this.#agents[at % newsKeptMax]
      if (agent !== undefined) agents.push(agent)
    }
    return agents
  }
}

/** More would be no cheaper than a look at everybody. */
export const newsKeptMax = 1_024
