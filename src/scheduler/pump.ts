import type { Instant } from '../clock.ts'
import type { Agent } from './agent.ts'
import type { FairQueue } from './fair-queue.ts'
import { obstacle } from './feasibility.ts'
import type { Fleet } from './fleet.ts'
import type { ModelNames } from './model-names.ts'
import type { Waiting } from './waiting.ts'

export type PumpDeps = {
  readonly fleet: Fleet
  readonly models: ModelNames
  readonly queue: FairQueue
  /** Gives one that waits a slot, or refuses it. False: it goes on waiting. */
  readonly place: (waiting: Waiting) => boolean
}

/**
 * Gives those that wait what has become free. A request that found no room finds none until a slot of its model is free,
 * an agent has nothing to do any more, or the fleet is another one; so nothing else is looked at.
 */
export class Pump {
  readonly #deps: PumpDeps
  /** Of the fleet, when all that wait were looked at last. */
  #version = 0

  constructor(deps: PumpDeps) {
    this.#deps = deps
  }

  /** Places all that wait and can go. */
  run(now: Instant): void {
    const { fleet, models, queue } = this.#deps
    const freed = fleet.takeFreed()
    if (queue.length > 0) {
      for (const { modelSha256 } of freed)
        for (const { name } of models.of(modelSha256)) this.#pump(name)
      for (const { agent } of freed) this.#offer(agent, now)
    }
    // Whoever is placed may have something loaded, and so make the fleet another one.
    while (this.#version !== fleet.version) {
      this.#version = fleet.version
      for (const model of queue.models()) this.#pump(model)
    }
  }

  /** An agent that has nothing to do any more may load what others wait for. */
  #offer(agent: Agent, now: Instant): void {
    const { models, queue } = this.#deps
    for (const name of queue.models()) {
      if (agent.leaseCount > 0) return
      const model = models.get(name)
      if (model !== undefined && obstacle(agent, model, now) === null) this.#pump(name)
    }
  }

  /** Interrupted ones first, then by turns. Where one finds no room, no other of its lane does. */
  #pump(model: string): void {
    const { queue, place } = this.#deps
    const blocked = new Set<string>()
    for (const waiting of queue.interrupted(model))
      if (!blocked.has(waiting.lane) && !place(waiting)) blocked.add(waiting.lane)
    let waiting = queue.next(model, blocked)
    while (waiting !== undefined) {
      if (!place(waiting)) blocked.add(waiting.lane)
      waiting = queue.next(model, blocked)
    }
  }
}
