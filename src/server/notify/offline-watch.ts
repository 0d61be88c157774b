import type { Instant } from '../../clock.ts'
import type { AgentId } from '../../protocol/ids.ts'

/** Laptops are off at night; whoever is not there for longer may have left without a word. */
export const offlineToldMs = 24 * 60 * 60 * 1000

type Missing = { readonly name: string; readonly since: Instant; told: boolean }

/** Notices agents that stay away. At most as many as are enrolled. Pure: time is an argument. */
export class OfflineWatch {
  readonly #missing = new Map<AgentId, Missing>()

  /** @param since when it was there last; what was long ago already was told by the process before this one */
  left(id: AgentId, name: string, since: Instant, now: Instant): void {
    this.#missing.set(id, { name, since, told: now - since >= offlineToldMs })
  }

  /** @returns how long it was away in ms, when that was told; null: nobody was told, or it was not away */
  came(id: AgentId, now: Instant): number | null {
    const missing = this.#missing.get(id)
    this.#missing.delete(id)
    return missing?.told === true ? now - missing.since : null
  }

  /** Undefined: it is not missing. */
  nameOf(id: AgentId): string | undefined {
    return this.#missing.get(id)?.name
  }

  /** It is not expected any more. */
  forget(id: AgentId): void {
    this.#missing.delete(id)
  }

  /** @returns those that have been away for too long since the last look; each is returned once */
  overdue(
    now: Instant,
  ): readonly { readonly id: AgentId; readonly name: string; readonly since: Instant }[] {
    const overdue = [...this.#missing].filter(
      ([, { told, since }]) => !told && now - since >= offlineToldMs,
    )
    return overdue.map(([id, missing]) => {
      missing.told = true
      return { id, name: missing.name, since: missing.since }
    })
  }
}
