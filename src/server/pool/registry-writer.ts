import type { HealthRecord } from '../../capability/health-record.ts'
import type { Instant } from '../../clock.ts'
import type { Inventory } from '../../protocol/gpu.ts'
import type { AgentId } from '../../protocol/ids.ts'
import type { OrderChange } from '../../scheduler/event.ts'
import type { ReliabilityRecord } from '../../scheduler/reliability.ts'
import type { AdminEvent } from '../notify/admin-event.ts'
import type { AgentStatus, HistoryEvent, Store } from '../store/store.ts'

/** History that may wait for a database that does not answer; beyond it the oldest is dropped, and that is logged. */
const historyPendingMax = 10_000

/** The same for what the operator was told. */
export const eventsPendingMax = 1_000

/**
 * Writes what the pool learns about agents behind the requests' back: heartbeats coalesced to the newest per agent,
 * history in batches, status, reliability and health at their last value. `flush` is called by a timer and at the end.
 */
export class RegistryWriter {
  readonly #store: Store
  readonly #onError: (error: unknown) => void
  readonly #heartbeats = new Map<AgentId, Instant>()
  readonly #statuses = new Map<AgentId, AgentStatus>()
  readonly #capabilities = new Map<AgentId, { inventory: Inventory; region: string | null }>()
  readonly #reliabilities = new Map<AgentId, { reliability: number; record: ReliabilityRecord }>()
  readonly #healths = new Map<AgentId, HealthRecord>()
  /** By agent and model; at most as many as the operator gives orders between two writes. */
  readonly #orders = new Map<string, OrderChange>()
  #history: HistoryEvent[] = []
  #events: AdminEvent[] = []
  #flushing: Promise<void> | null = null

  constructor(store: Store, onError: (error: unknown) => void) {
    this.#store = store
    this.#onError = onError
  }

  heartbeat(id: AgentId, at: Instant): void {
    this.#heartbeats.set(id, at)
  }

  status(id: AgentId, status: AgentStatus): void {
    this.#statuses.set(id, status)
  }

  /** What a hello says that the registry does not know yet. */
  capabilities(id: AgentId, inventory: Inventory, region: string | null): void {
    this.#capabilities.set(id, { inventory, region })
  }

  reliability(id: AgentId, reliability: number, record: ReliabilityRecord): void {
    this.#reliabilities.set(id, { reliability, record })
  }

  health(id: AgentId, health: HealthRecord): void {
    this.#healths.set(id, health)
  }

  order(change: OrderChange): void {
    this.#orders.set(`${change.agentId} ${change.model}`, change)
  }

  history(event: HistoryEvent): void {
    if (this.#history.length >= historyPendingMax) {
      this.#history.shift()
      this.#onError(new Error('the database is behind: an old history event was dropped'))
    }
    this.#history.push(event)
  }

  /** What the operator was told; beyond the limit the oldest is dropped, as the log and the webhook had it already. */
  event(event: AdminEvent): void {
    if (this.#events.length >= eventsPendingMax) this.#events.shift()
    this.#events.push(event)
  }

  /**
   * Writes everything that is pending; what cannot be written stays pending. Resolves when it is stored, or its failure
   * is reported. While one runs, another one joins it.
   */
  flush(): Promise<void> {
    this.#flushing ??= this.#write()
      .catch(this.#onError)
      .finally(() => {
        this.#flushing = null
      })
    return this.#flushing
  }

  async #write(): Promise<void> {
    await this.#writeHeartbeats()
    await drain(this.#capabilities, (id, { inventory, region }) =>
      this.#store.updateAgentCapabilities(id, inventory, region),
    )
    await drain(this.#statuses, (id, status) => this.#store.setAgentStatus(id, status))
    await drain(this.#reliabilities, (id, { reliability, record }) =>
      this.#store.setAgentReliability(id, reliability, record),
    )
    await drain(this.#healths, (id, health) => this.#store.setAgentHealth(id, health))
    await this.#writeEvents()
    await drain(this.#orders, (_, { agentId, model, loaded }) =>
      this.#store.setModelOrder(agentId, model, loaded),
    )
    await this.#writeHistory()
  }

  async #writeEvents(): Promise<void> {
    const written = this.#events
    if (written.length === 0) return
    this.#events = []
    try {
      await this.#store.appendEvents(written)
    } catch (error) {
      this.#events = [...written, ...this.#events].slice(-eventsPendingMax)
      throw error
    }
  }

  async #writeHeartbeats(): Promise<void> {
    if (this.#heartbeats.size === 0) return
    const written = [...this.#heartbeats]
    await this.#store.recordHeartbeats(written.map(([id, at]) => ({ id, at })))
    for (const [id, at] of written) if (this.#heartbeats.get(id) === at) this.#heartbeats.delete(id)
  }

  async #writeHistory(): Promise<void> {
    if (this.#history.length === 0) return
    const written = this.#history
    this.#history = []
    try {
      await this.#store.appendHistory(written)
    } catch (error) {
      this.#history = [...written, ...this.#history].slice(-historyPendingMax)
      throw error
    }
  }
}

/** Writes each entry and takes it out, unless it has changed meanwhile. */
async function drain<Key, Value>(
  pending: Map<Key, Value>,
  write: (id: Key, value: Value) => Promise<void>,
): Promise<void> {
  for (const [id, value] of pending) {
    await write(id, value)
    if (pending.get(id) === value) pending.delete(id)
  }
}
