import type { Instant } from '../../clock.ts'
import type { Heartbeat } from '../../protocol/agent-message.ts'
import type { Inventory } from '../../protocol/gpu.ts'
import type { AgentId } from '../../protocol/ids.ts'
import type { AgentHealth } from '../../scheduler/event.ts'
import type { AgentRecord } from '../store/store.ts'
import { MachineHealth, type HealthNews } from './machine-health.ts'
import type { RegistryWriter } from './registry-writer.ts'

type Watched = { readonly health: MachineHealth; name: string; told: AgentHealth }

export type HealthWatchDeps = {
  readonly registry: RegistryWriter
  /** Tells placement. */
  readonly onHealth: (agentId: AgentId, health: AgentHealth) => void
  /** Tells the operator. */
  readonly log: (agentId: AgentId, agentName: string, news: HealthNews) => void
}

/**
 * Watches the health of every machine that has connected since this process began (at most as many as are enrolled, so
 * that one that reconnects before the registry is written finds what it had), and passes changes on: to placement, to
 * the registry, and to the operator.
 */
export class HealthWatch {
  readonly #deps: HealthWatchDeps
  readonly #watched = new Map<AgentId, Watched>()

  constructor(deps: HealthWatchDeps) {
    this.#deps = deps
  }

  /** @returns the health that the machine comes with */
  admitted(record: AgentRecord, inventory: Inventory, now: Instant): AgentHealth {
    const { id, name } = record
    const known = this.#watched.get(id)?.health
    known?.connected(inventory)
    const health = known ?? new MachineHealth(inventory, record.health, now)
    const told = health.standing(now)
    this.#watched.set(id, { health, name, told })
    return told
  }

  /** The machine is another one than hello said. */
  inventory(id: AgentId, inventory: Inventory, now: Instant): void {
    this.#observe(id, now, health => {
      health.setInventory(inventory)
      return []
    })
  }

  heartbeat(id: AgentId, beat: Heartbeat, now: Instant): void {
    this.#observe(id, now, health => health.heartbeat(beat, now))
  }

  /** An inference ended there. @param ok false: it failed, and that was the machine's own doing */
  outcome(id: AgentId, ok: boolean, now: Instant): void {
    this.#observe(id, now, health => health.outcome(ok, now))
  }

  /** The operator has looked into the failures of the machine. */
  forgiveErrors(id: AgentId, now: Instant): void {
    this.#observe(id, now, health => health.forgiveErrors(now))
  }

  /** For display: of one that is not connected, what is remembered. */
  of(record: AgentRecord, now: Instant): MachineHealth {
    const watched = this.#watched.get(record.id)
    return watched?.health ?? new MachineHealth(record.capabilities, record.health, now)
  }

  #observe(
    id: AgentId,
    now: Instant,
    observe: (health: MachineHealth) => readonly HealthNews[],
  ): void {
    const watched = this.#watched.get(id)
    if (watched === undefined) return
    const { health, name } = watched
    const before = health.record
    for (const news of observe(health)) {
      const { type, text } = news
      this.#deps.registry.history({ agentId: id, type, at: now, metadata: { text } })
      this.#deps.log(id, name, news)
    }
    if (health.record !== before) this.#deps.registry.health(id, health.record)
    const standing = health.standing(now)
    if (Bun.deepEquals(standing, watched.told)) return
    watched.told = standing
    this.#deps.onHealth(id, standing)
  }
}
