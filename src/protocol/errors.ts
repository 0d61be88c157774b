import { Type } from 'typebox'

/**
 * Why a job, a load or a connection failed, as data. The table below is the only place that says what a code means
 * for a client (HTTP status, OpenAI error type) and for the pool (may another agent try?).
 */
export type ErrorCode =
  | 'invalid_request'
  | 'prompt_too_long'
  | 'unsupported'
  | 'unauthorized'
  | 'forbidden'
  | 'model_not_found'
  | 'not_found'
  | 'conflict'
  | 'payload_too_large'
  | 'request_quarantined'
  | 'no_capable_agent'
  | 'queue_full'
  | 'agent_lost'
  | 'agent_refused'
  | 'model_unloaded'
  | 'overheated'
  | 'agent_faulty'
  | 'worker_died'
  | 'worker_hung'
  | 'out_of_memory'
  | 'model_load_failed'
  | 'model_file_invalid'
  | 'timeout'
  | 'stalled'
  | 'cancelled'
  | 'upgrade_required'
  | 'server_shutting_down'
  | 'internal'

type ErrorMeaning = {
  readonly httpStatus: number
  /** The `type` of OpenAI's error object. */
  readonly openaiType: string
  /** True when the same request may well succeed on another agent. */
  readonly retryElsewhere: boolean
}

export const errorMeanings: Readonly<Record<ErrorCode, ErrorMeaning>> = {
  invalid_request: { httpStatus: 400, openaiType: 'invalid_request_error', retryElsewhere: false },
  prompt_too_long: { httpStatus: 400, openaiType: 'invalid_request_error', retryElsewhere: false },
  unsupported: { httpStatus: 400, openaiType: 'invalid_request_error', retryElsewhere: false },
  unauthorized: { httpStatus: 401, openaiType: 'authentication_error', retryElsewhere: false },
  forbidden: { httpStatus: 403, openaiType: 'permission_error', retryElsewhere: false },
  model_not_found: { httpStatus: 404, openaiType: 'invalid_request_error', retryElsewhere: false },
  not_found: { httpStatus: 404, openaiType: 'invalid_request_error', retryElsewhere: false },
  conflict: { httpStatus: 409, openaiType: 'invalid_request_error', retryElsewhere: false },
  payload_too_large: {
    httpStatus: 413,
    openaiType: 'invalid_request_error',
    retryElsewhere: false,
  },
  /** It ended the workers of two agents; no third one is given it. */
  request_quarantined: {
    httpStatus: 422,
    openaiType: 'invalid_request_error',
    retryElsewhere: false,
  },
  no_capable_agent: { httpStatus: 503, openaiType: 'server_error', retryElsewhere: false },
  queue_full: { httpStatus: 429, openaiType: 'rate_limit_error', retryElsewhere: false },
  agent_lost: { httpStatus: 502, openaiType: 'server_error', retryElsewhere: true },
  agent_refused: { httpStatus: 503, openaiType: 'server_error', retryElsewhere: true },
  /** The model has just left memory, for another one or because nobody used it; asked again, the agent loads it. */
  model_unloaded: { httpStatus: 503, openaiType: 'server_error', retryElsewhere: true },
  /** A GPU is above its limit: the agent has stopped its work until it has cooled. */
  overheated: { httpStatus: 503, openaiType: 'server_error', retryElsewhere: true },
  /** The agent broke the protocol: a gap in its tokens, another prompt, a wrong count. */
  agent_faulty: { httpStatus: 502, openaiType: 'server_error', retryElsewhere: true },
  worker_died: { httpStatus: 502, openaiType: 'server_error', retryElsewhere: true },
  /** It was silent for far longer than it ever is, and was killed. */
  worker_hung: { httpStatus: 502, openaiType: 'server_error', retryElsewhere: true },
  out_of_memory: { httpStatus: 503, openaiType: 'server_error', retryElsewhere: true },
  model_load_failed: { httpStatus: 503, openaiType: 'server_error', retryElsewhere: true },
  model_file_invalid: { httpStatus: 503, openaiType: 'server_error', retryElsewhere: true },
  /** A stream fell silent, and another agent overtook it; the network may have been to blame as well as the machine. */
  stalled: { httpStatus: 504, openaiType: 'server_error', retryElsewhere: true },
  timeout: { httpStatus: 504, openaiType: 'server_error', retryElsewhere: true },
  cancelled: { httpStatus: 499, openaiType: 'server_error', retryElsewhere: false },
  upgrade_required: { httpStatus: 426, openaiType: 'invalid_request_error', retryElsewhere: false },
  server_shutting_down: { httpStatus: 503, openaiType: 'server_error', retryElsewhere: false },
  /** From an agent it is that machine's, and a newer agent's code that this build does not know; others may do better. */
  internal: { httpStatus: 500, openaiType: 'server_error', retryElsewhere: true },
}

export const errorCodes = Object.keys(errorMeanings) as readonly ErrorCode[]

export const isErrorCode = (text: string): text is ErrorCode => Object.hasOwn(errorMeanings, text)

/** An expected failure: returned, not thrown. `message` is for people and never holds prompts, answers or keys. */
export type Failure = {
  readonly code: ErrorCode
  readonly message: string
  /** When the same request may succeed, ms from now; absent: nobody has computed it. Never on the wire. */
  readonly retryAfterMs?: number
}

/** The worker that had the job is gone; a job that this happens to again and again may be what ends it. */
export const isWorkerEnd = (code: ErrorCode): boolean =>
  code === 'worker_died' || code === 'worker_hung'

/** On the wire the code is any string, so that a newer peer's new code arrives as `internal` and not as a refusal. */
export const WireFailureSchema = Type.Object({
  code: Type.String({ maxLength: 64 }),
  message: Type.String({ maxLength: 2_000 }),
})

/** @returns the failure with a code this build knows; an unknown code becomes `internal`. */
export function knownFailure(wire: { code: string; message: string }): Failure {
  return { code: isErrorCode(wire.code) ? wire.code : 'internal', message: wire.message }
}
