import { errorMeanings, isErrorCode, type ErrorCode, type Failure } from '../protocol/errors.ts'

/** A failure on its way to a client; `param` names the field of the request that is wrong, as OpenAI does. */
export type ApiFailure = Failure & { readonly param?: string }

/** OpenAI's error envelope. */
export type ErrorBody = {
  readonly error: {
    readonly message: string
    readonly type: string
    readonly param: string | null
    readonly code: string
  }
}

type Door = {
  /** `error.code`: OpenAI's word where OpenAI has one, because clients compare it; else our own. */
  readonly clientCode: string
  /** How soon the same request may succeed where nobody has computed it; null: not by waiting. */
  readonly retryAfterSeconds: number | null
  /**
   * Said to API clients instead of the failure's message, where that message can be written on a contributor's
   * machine and so may hold its paths or a library's inner text. The operator gets the original.
   */
  readonly clientMessage?: string
}

const doors: Readonly<Record<ErrorCode, Door>> = {
  invalid_request: { clientCode: 'invalid_request', retryAfterSeconds: null },
  prompt_too_long: { clientCode: 'context_length_exceeded', retryAfterSeconds: null },
  unsupported: { clientCode: 'unsupported', retryAfterSeconds: null },
  unauthorized: { clientCode: 'invalid_api_key', retryAfterSeconds: null },
  forbidden: { clientCode: 'insufficient_scope', retryAfterSeconds: null },
  model_not_found: { clientCode: 'model_not_found', retryAfterSeconds: null },
  not_found: { clientCode: 'not_found', retryAfterSeconds: null },
  conflict: { clientCode: 'conflict', retryAfterSeconds: null },
  payload_too_large: { clientCode: 'payload_too_large', retryAfterSeconds: null },
  request_quarantined: { clientCode: 'request_quarantined', retryAfterSeconds: null },
  /** By then an agent that is away has tried to come back (`reconnectDelayMaxMs`). */
  no_capable_agent: { clientCode: 'no_capable_agent', retryAfterSeconds: 60 },
  queue_full: { clientCode: 'queue_full', retryAfterSeconds: 2 },
  agent_lost: { clientCode: 'agent_lost', retryAfterSeconds: null },
  agent_refused: {
    clientCode: 'agent_refused',
    retryAfterSeconds: 5,
    clientMessage: 'The machine that was to run this request refused it. Try again.',
  },
  model_unloaded: {
    clientCode: 'model_unloaded',
    retryAfterSeconds: 5,
    clientMessage:
      'The model left the memory of the machine that was to run this request. Try again.',
  },
  overheated: {
    clientCode: 'overheated',
    retryAfterSeconds: 30,
    clientMessage: 'The machine that was to run this request has to cool down. Try again.',
  },
  agent_faulty: { clientCode: 'agent_faulty', retryAfterSeconds: null },
  worker_died: {
    clientCode: 'worker_died',
    retryAfterSeconds: null,
    clientMessage: 'The process that ran this request died. Try again.',
  },
  worker_hung: {
    clientCode: 'worker_hung',
    retryAfterSeconds: null,
    clientMessage: 'The process that ran this request hung. Try again.',
  },
  out_of_memory: {
    clientCode: 'out_of_memory',
    retryAfterSeconds: 10,
    clientMessage: 'The machine that ran this request has too little memory for it.',
  },
  model_load_failed: {
    clientCode: 'model_load_failed',
    // An agent is not asked again before that (the scheduler's `failedLoadDelayMinMs`).
    retryAfterSeconds: 30,
    clientMessage: 'The model could not be loaded.',
  },
  model_file_invalid: {
    clientCode: 'model_file_invalid',
    retryAfterSeconds: 60,
    clientMessage: 'The file of the model is damaged.',
  },
  timeout: { clientCode: 'timeout', retryAfterSeconds: null },
  stalled: { clientCode: 'timeout', retryAfterSeconds: null },
  cancelled: { clientCode: 'cancelled', retryAfterSeconds: null },
  upgrade_required: { clientCode: 'upgrade_required', retryAfterSeconds: null },
  server_shutting_down: { clientCode: 'server_shutting_down', retryAfterSeconds: 5 },
  internal: {
    clientCode: 'internal',
    retryAfterSeconds: null,
    clientMessage: 'Something went wrong inside the server.',
  },
}

/** Tells a failure from a result, wherever a function returns either. */
export const isFailure = (value: object): value is Failure =>
  'code' in value && typeof value.code === 'string' && isErrorCode(value.code) && 'message' in value

/** @returns the failure as somebody who only holds an inference key may see it */
export const withoutInnerDetails = (failure: ApiFailure): ApiFailure => {
  const { clientMessage } = doors[failure.code]
  return clientMessage === undefined ? failure : { ...failure, message: clientMessage }
}

export function errorBody(failure: ApiFailure): ErrorBody {
  return {
    error: {
      message: failure.message,
      type: errorMeanings[failure.code].openaiType,
      param: failure.param ?? null,
      code: doors[failure.code].clientCode,
    },
  }
}

export const errorStatus = (code: ErrorCode): number => errorMeanings[code].httpStatus

/** Headers that belong to an answer with this failure. */
export function errorHeaders({ code, retryAfterMs }: ApiFailure): Record<string, string> {
  const { retryAfterSeconds } = doors[code]
  return {
    ...(code === 'unauthorized' && { 'www-authenticate': 'Bearer' }),
    ...(retryAfterMs !== undefined
      ? computedRetryAfter(retryAfterMs)
      : retryAfterSeconds !== null && { 'retry-after': String(retryAfterSeconds) }),
  }
}

/** Nobody comes back sooner, or is sent away for longer. */
const retryAfterMinMs = 1_000
const retryAfterMaxMs = 300_000

/** Seconds for everybody, rounded up; milliseconds for OpenAI's clients, which look at them first. */
function computedRetryAfter(computedMs: number): Record<string, string> {
  const ms = Math.min(Math.max(Math.ceil(computedMs), retryAfterMinMs), retryAfterMaxMs)
  return { 'retry-after': String(Math.ceil(ms / 1_000)), 'retry-after-ms': String(ms) }
}

/** The one door from a failure to HTTP. */
export const errorResponse = (
  failure: ApiFailure,
  extraHeaders: Record<string, string> = {},
): Response =>
  Response.json(errorBody(failure), {
    status: errorStatus(failure.code),
    headers: { ...errorHeaders(failure), ...extraHeaders },
  })
