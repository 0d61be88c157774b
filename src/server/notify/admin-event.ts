import type { Instant } from '../../clock.ts'
import type { AgentId } from '../../protocol/ids.ts'

export type AdminEventType =
  | 'agent_unhealthy'
  | 'agent_healthy'
  | 'agent_too_hot'
  | 'agent_cooled'
  | 'thermal_event'
  | 'driver_trouble'
  | 'agent_offline'
  | 'agent_back'
  | 'model_failed'
  | 'request_quarantined'
  | 'database_failing'

export type Severity = 'info' | 'warning' | 'critical'

/** Something that the operator should hear of. It never holds prompts, answers or keys. */
export type AdminEvent = {
  readonly type: AdminEventType
  readonly severity: Severity
  readonly at: Instant
  /** Null: it concerns no machine alone. */
  readonly agentId: AgentId | null
  readonly agentName: string | null
  readonly model: string | null
  /** For people, at most `eventTextCharactersMax`. */
  readonly text: string
  /** How often it has happened since it was told the last time, this once included. */
  readonly times: number
}

export const eventTextCharactersMax = 500

/** How bad each is: critical wants somebody to look, info closes what was told before. */
export const severities: Readonly<Record<AdminEventType, Severity>> = {
  agent_unhealthy: 'critical',
  agent_healthy: 'info',
  agent_too_hot: 'warning',
  agent_cooled: 'info',
  thermal_event: 'warning',
  driver_trouble: 'warning',
  agent_offline: 'warning',
  agent_back: 'info',
  model_failed: 'warning',
  request_quarantined: 'warning',
  database_failing: 'critical',
}
