import type { Instant } from '../../clock.ts'
import type { AgentId } from '../../protocol/ids.ts'
import type { AgentStatus, HistoryEvent, Store } from '../store/store.ts'

/** History that may wait for a database that does not answer; beyond it the oldest is dropped, and that is logged. */
const historyPendingMax = 10_000

/**
 * Writes what the pool learns about agents behind the requests' back: heartbeats coalesced to the newest per agent,
 * history in batches, status and reliability at their last value. `flush` is called by a timer and at the end.
 */
export class RegistryWriter {
  readonly #store: Store
  readonly #onError: (error: unknown) => void
  #heartbeats = new Map<AgentId, Instant>()
  #statuses = new Map<AgentId, AgentStatus>()
  #reliabilities = new Map<AgentId, number>()
  #history: HistoryEvent[] = []
  #flushing: Promise<void> = Promise.resolve()

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

  reliability(id: AgentId, reliability: number): void {
    this.#reliabilities.set(id, reliability)
  }

  history(event: HistoryEvent): void {
    if (this.#history.length >= historyPendingMax) {
      this.#history.shift()
      this.#onError(new Error('the database is behind: an old history event was dropped'))
    }
    this.#history.push(event)
  }

  /** Writes everything that is pending. Resolves when it is stored, or its failure is reported. */
  flush(): Promise<void> {
    this.#flushing = this.#flushing.then(() => this.#write()).catch(this.#onError)
    return this.#flushing
  }

  async #write(): Promise<void> {
    const heartbeats = [...this.#heartbeats].map(([id, at]) => ({ id, at }))
    const statuses = this.#statuses
    const reliabilities = this.#reliabilities
    const history = this.#history
    this.#heartbeats = new Map()
    this.#statuses = new Map()
    this.#reliabilities = new Map()
    this.#history = []
    if (heartbeats.length > 0) await this.#store.recordHeartbeats(heartbeats)
    for (const [id, status] of statuses) await this.#store.setAgentStatus(id, status)
    for (const [id, value] of reliabilities) await this.#store.setAgentReliability(id, value)
    if (history.length > 0) await this.#store.appendHistory(history)
  }
}
