import type { ErrorCode } from '../protocol/errors.ts'
import { isWorkerEnd } from '../protocol/errors.ts'

/**
 * Whose doing it was that an attempt ended without an answer. Only `node` costs its machine reliability at once; `network`
 * costs through what is measured of its connection (lost ones, late heartbeats), `heat` ranks it lower while it lasts, and
 * the others cost it nothing.
 */
export type AttemptCause =
  /** Its owner wanted the machine back: paused or stopped it, put it to sleep. */
  | 'owner'
  /** What its owner allows does not include the job: too large, too many, not now. */
  | 'rules'
  /** The way between: a lost connection, answers that stopped while pongs were late. */
  | 'network'
  /** This server: it shut down, placed a job on a model that was leaving, or had no room. */
  | 'server'
  /** Whoever asked went away. */
  | 'client'
  /** The request: impossible, or poison that ends whatever process runs it. */
  | 'request'
  /** The model's file is damaged, wherever it lies. */
  | 'model'
  | 'heat'
  /** The machine: its worker died, hung, lied, or could not do what it said it could. */
  | 'node'

/** What else is known at the end of the attempt. */
export type AttemptContext = {
  /** A pong of the agent was overdue. */
  readonly pingLate: boolean
  /** The same request has ended a worker of another agent. */
  readonly killedElsewhere: boolean
}

/** The one place where an error becomes somebody's fault. */
export function causeOf(code: ErrorCode, context: AttemptContext): AttemptCause {
  if (isWorkerEnd(code) && context.killedElsewhere) return 'request'
  if (code === 'timeout' && context.pingLate) return 'network'
  return causes[code]
}

const causes: Readonly<Record<ErrorCode, AttemptCause>> = {
  invalid_request: 'request',
  prompt_too_long: 'request',
  unsupported: 'request',
  payload_too_large: 'request',
  request_quarantined: 'request',
  unauthorized: 'server',
  forbidden: 'server',
  model_not_found: 'server',
  not_found: 'server',
  conflict: 'server',
  no_capable_agent: 'server',
  queue_full: 'server',
  upgrade_required: 'server',
  server_shutting_down: 'server',
  /** It was placed on a model that was leaving memory at that moment. */
  model_unloaded: 'server',
  agent_lost: 'network',
  /** Another one overtook it. What has really stopped there shows by itself: a watchdog, a pong, a heartbeat. */
  stalled: 'network',
  agent_refused: 'rules',
  overheated: 'heat',
  agent_faulty: 'node',
  worker_died: 'node',
  worker_hung: 'node',
  out_of_memory: 'node',
  model_load_failed: 'node',
  model_file_invalid: 'model',
  timeout: 'node',
  cancelled: 'client',
  internal: 'node',
}
