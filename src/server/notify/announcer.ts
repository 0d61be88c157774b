import type { Clock, Instant } from '../../clock.ts'
import type { AgentId } from '../../protocol/ids.ts'
import type { Log } from '../log.ts'
import {
  eventTextCharactersMax,
  severities,
  type AdminEvent,
  type AdminEventType,
} from './admin-event.ts'

/** What happened, as whoever saw it says it. */
export type Announcement = {
  readonly type: AdminEventType
  readonly agentId?: AgentId
  readonly agentName?: string
  readonly model?: string
  readonly text: string
}

export type AnnouncerDeps = {
  readonly clock: Clock
  readonly log: Log
  /** Keeps the event for `admin events`. */
  readonly keep: (event: AdminEvent) => void
  /** Tells the operator's webhook, if there is one. */
  readonly send: (event: AdminEvent) => void
}

const minuteMs = 60_000
/** The same of the same agent and model is told again only after so long, with how often it has happened. */
export const repeatMs: Readonly<Record<AdminEventType, number>> = {
  agent_unhealthy: 10 * minuteMs,
  agent_healthy: 10 * minuteMs,
  agent_too_hot: 60 * minuteMs,
  agent_cooled: 60 * minuteMs,
  thermal_event: 60 * minuteMs,
  /** It is there at every connection until somebody installs another driver. */
  driver_trouble: 7 * 24 * 60 * minuteMs,
  agent_offline: 10 * minuteMs,
  agent_back: 10 * minuteMs,
  model_failed: 60 * minuteMs,
  request_quarantined: 10 * minuteMs,
  database_failing: 10 * minuteMs,
}
/** What is remembered in order not to repeat it; beyond it the one told longest ago is forgotten. */
export const remembered = { eventsMax: 10_000 } as const

/** Tells the operator what happened: a line in the log, a row in the events table, a message to the webhook. Floods become one. */
export class Announcer {
  readonly #deps: AnnouncerDeps
  /** By type, agent and model, in the order in which they were told. */
  readonly #told = new Map<string, { readonly at: Instant; untold: number }>()

  constructor(deps: AnnouncerDeps) {
    this.#deps = deps
  }

  tell(what: Announcement): void {
    const { clock, keep, send } = this.#deps
    const { type, agentId = null, agentName = null, model = null } = what
    const now = clock.now()
    const key = `${type} ${agentId} ${model}`
    const before = this.#told.get(key)
    if (before !== undefined && now - before.at < repeatMs[type]) {
      before.untold++
      return
    }
    this.#remember(key, now)
    const event: AdminEvent = {
      type,
      severity: severities[type],
      // Whole, as the store keeps it, so that an event is told the same everywhere.
      at: Math.round(now),
      agentId,
      agentName,
      model,
      text: what.text.slice(0, eventTextCharactersMax),
      times: 1 + (before?.untold ?? 0),
    }
    this.#log(event)
    keep(event)
    send(event)
  }

  #remember(key: string, at: Instant): void {
    this.#told.delete(key)
    this.#told.set(key, { at, untold: 0 })
    for (const oldest of this.#told.keys()) {
      if (this.#told.size <= remembered.eventsMax) break
      this.#told.delete(oldest)
    }
  }

  #log({ type, severity, agentId, agentName, model, text, times }: AdminEvent): void {
    const level = ({ info: 'info', warning: 'warn', critical: 'error' } as const)[severity]
    this.#deps.log[level](type.replaceAll('_', ' '), {
      ...(agentId !== null && { agentId }),
      ...(agentName !== null && { agentName }),
      ...(model !== null && { model }),
      reason: text,
      count: times,
    })
  }
}
