import type { Instant } from '../../clock.ts'
import type { AgentId } from '../../protocol/ids.ts'
import { limits } from '../../protocol/limits.ts'
import type { AttemptCause } from '../../scheduler/attempt-cause.ts'
import {
  afterCompletion,
  afterFailure,
  afterHeartbeat,
  afterLostConnection,
  explainReliability,
  reliabilityOf,
  restoreReliabilityRecord,
  withoutFailure,
  type ReliabilityRecord,
} from '../../scheduler/reliability.ts'
import type { AgentRecord } from '../store/store.ts'
import type { RegistryWriter } from './registry-writer.ts'
import { StallMeter } from './stall-meter.ts'

/** For the history: what one event did to an agent's reliability, to four decimals. */
export type ReliabilityChange = { readonly before: number; readonly after: number }

type Watched = {
  record: ReliabilityRecord
  /** What placement knows. */
  told: number
  /** What the history says last. */
  noted: number
  /** Of the connection that it has; null before its first heartbeat. */
  lastHeartbeatAt: Instant | null
  /** Of the stall meter at that time. */
  stalledMs: number
}

export type ReliabilityWatchDeps = {
  readonly registry: RegistryWriter
  /** How often `tick` is called. */
  readonly tickIntervalMs: number
  /** Tells placement. */
  readonly onReliability: (agentId: AgentId, reliability: number) => void
}

/** Less does not matter to placement, and time alone moves everybody's by that. */
const toldStep = 0.005
/** Drifting by this much is worth a line in the history. */
const notedStep = 0.05

/**
 * Keeps the conduct of every agent that has connected since this process began (at most as many as are enrolled), and passes
 * changes on: to placement, to the registry, to the agent's history.
 */
export class ReliabilityWatch {
  readonly #deps: ReliabilityWatchDeps
  readonly #watched = new Map<AgentId, Watched>()
  readonly #stalls: StallMeter

  constructor(deps: ReliabilityWatchDeps) {
    this.#deps = deps
    this.#stalls = new StallMeter(deps.tickIntervalMs)
  }

  tick(now: Instant): void {
    this.#stalls.tick(now)
  }

  /** @returns the reliability that the agent comes with */
  admitted(agent: AgentRecord, now: Instant): number {
    const record = this.#watched.get(agent.id)?.record ?? stored(agent, now)
    const told = reliabilityOf(record, now)
    this.#watched.set(agent.id, { record, told, noted: told, lastHeartbeatAt: null, stalledMs: 0 })
    return told
  }

  completed(id: AgentId, now: Instant): ReliabilityChange | null {
    return this.#change(id, now, record => afterCompletion(record, now))
  }

  /** A failure that was the machine's own. */
  failed(id: AgentId, now: Instant): ReliabilityChange | null {
    return this.#change(id, now, record => afterFailure(record, now))
  }

  /** The failure of `failedAt` was not the machine's after all. */
  tookBack(id: AgentId, failedAt: Instant, now: Instant): ReliabilityChange | null {
    return this.#change(id, now, record => withoutFailure(record, failedAt, now))
  }

  /** Its connection has ended. An owner who stops the agent, and a server that does, cost it nothing. */
  disconnected(id: AgentId, cause: AttemptCause, now: Instant): void {
    if (cause === 'network') this.#change(id, now, record => afterLostConnection(record, now))
    else if (cause === 'node') this.failed(id, now)
  }

  /** Measures how late it is, without what this process stood still meanwhile. */
  heartbeat(id: AgentId, now: Instant): void {
    const watched = this.#watched.get(id)
    if (watched === undefined) return
    const { lastHeartbeatAt, stalledMs } = watched
    watched.lastHeartbeatAt = now
    watched.stalledMs = this.#stalls.total(now)
    if (lastHeartbeatAt === null) return
    const stalled = watched.stalledMs - stalledMs
    const lateMs = now - lastHeartbeatAt - limits.heartbeatIntervalMs - stalled
    watched.record = afterHeartbeat(watched.record, lateMs)
    const reliability = reliabilityOf(watched.record, now)
    if (Math.abs(reliability - watched.told) >= toldStep) this.#tell(id, watched, reliability)
    if (Math.abs(reliability - watched.noted) < notedStep) return
    const change = { before: rounded(watched.noted), after: rounded(reliability) }
    const metadata = { text: explainReliability(watched.record, now), ...change }
    this.#deps.registry.history({ agentId: id, type: 'reliability_changed', at: now, metadata })
    watched.noted = reliability
  }

  /** For display: of one that is not connected, what is remembered. */
  of(agent: AgentRecord, now: Instant): { readonly reliability: number; readonly reason: string } {
    const record = this.#watched.get(agent.id)?.record ?? stored(agent, now)
    return { reliability: reliabilityOf(record, now), reason: explainReliability(record, now) }
  }

  #change(
    id: AgentId,
    now: Instant,
    step: (record: ReliabilityRecord) => ReliabilityRecord,
  ): ReliabilityChange | null {
    const watched = this.#watched.get(id)
    if (watched === undefined) return null
    const before = reliabilityOf(watched.record, now)
    watched.record = step(watched.record)
    const after = reliabilityOf(watched.record, now)
    this.#tell(id, watched, after)
    watched.noted = after
    return { before: rounded(before), after: rounded(after) }
  }

  #tell(id: AgentId, watched: Watched, reliability: number): void {
    this.#deps.registry.reliability(id, reliability, watched.record)
    if (reliability === watched.told) return
    watched.told = reliability
    this.#deps.onReliability(id, reliability)
  }
}

const stored = (agent: AgentRecord, now: Instant): ReliabilityRecord =>
  restoreReliabilityRecord(agent.reliabilityRecord, agent.reliability, now)

const rounded = (reliability: number): number => Number(reliability.toFixed(4))
