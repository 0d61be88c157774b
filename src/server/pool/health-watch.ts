import type { Instant } from '../../clock.ts'
import type { Heartbeat } from '../../protocol/agent-message.ts'
import type { Inventory } from '../../protocol/gpu.ts'
import type { AgentId } from '../../protocol/ids.ts'
import type { AgentHealth } from '../../scheduler/event.ts'
import { judgeDevice } from '../../capability/judge-device.ts'
import type { AdminEventType } from '../notify/admin-event.ts'
import type { Announcement } from '../notify/announcer.ts'
import type { AgentRecord } from '../store/store.ts'
import { MachineHealth, type HealthNews } from './machine-health.ts'
import type { RegistryWriter } from './registry-writer.ts'

type Watched = { readonly health: MachineHealth; name: string; told: AgentHealth }

export type HealthWatchDeps = {
  readonly registry: RegistryWriter
  /** Tells placement. */
  readonly onHealth: (agentId: AgentId, health: AgentHealth) => void
  /** Tells the operator. */
  readonly tell: (what: Announcement) => void
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
    this.#tellDrivers(id, name, inventory, now)
    return told
  }

  /** A driver that is known to crash or to corrupt (specification 5.4), also where the agent works around it. */
  #tellDrivers(agentId: AgentId, agentName: string, inventory: Inventory, now: Instant): void {
    for (const gpu of inventory.gpus) {
      const { driverNotes } = judgeDevice(inventory, gpu, now)
      if (driverNotes.length === 0) continue
      const text = `${gpu.name}: ${driverNotes.join('; ')}`
      this.#deps.tell({ type: 'driver_trouble', agentId, agentName, text })
    }
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

  /** The operator has looked into the failures of the machine, which may be away since this process began. */
  forgiveErrors(record: AgentRecord, now: Instant): void {
    const { id, name } = record
    if (!this.#watched.has(id)) {
      const health = this.of(record, now)
      this.#watched.set(id, { health, name, told: health.standing(now) })
    }
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
      this.#deps.tell({ type: told[type], agentId: id, agentName: name, text })
    }
    if (health.record !== before) this.#deps.registry.health(id, health.record)
    const standing = health.standing(now)
    if (Bun.deepEquals(standing, watched.told)) return
    this.#tellHeat(id, watched, standing)
    watched.told = standing
    this.#deps.onHealth(id, standing)
  }

  #tellHeat(agentId: AgentId, { name: agentName, told }: Watched, standing: AgentHealth): void {
    const before = heatStop(told)
    const after = heatStop(standing)
    if ((before === null) === (after === null)) return
    const type = after === null ? 'agent_cooled' : 'agent_too_hot'
    const text = after ?? 'it has cooled down and gets new work'
    this.#deps.tell({ type, agentId, agentName, text })
  }
}

/** Why heat stops new work; null: it does not. */
const heatStop = ({ stopped }: AgentHealth): string | null =>
  stopped?.passing === true ? stopped.reason : null

const told = {
  thermal_event: 'thermal_event',
  became_unhealthy: 'agent_unhealthy',
  became_healthy: 'agent_healthy',
} as const satisfies Record<HealthNews['type'], AdminEventType>
