import pino from 'pino'
import { prettyFactory } from 'pino-pretty'
import type { Clock } from '../clock.ts'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent'
export const logLevels: readonly LogLevel[] = ['debug', 'info', 'warn', 'error', 'silent']

/**
 * Everything a log line may hold. This list is closed on purpose: prompts, answers and keys cannot reach the log by
 * accident, since a field that is not here is neither accepted by the compiler nor written.
 */
export type LogFields = {
  readonly jobId?: string
  readonly keyId?: string
  readonly agentId?: string
  readonly agentName?: string
  readonly instanceId?: string
  readonly model?: string
  /** HTTP method, and the route's pattern; never the path itself, which holds what the client wrote. */
  readonly method?: string
  readonly route?: string
  readonly status?: number
  readonly durationMs?: number
  readonly firstTokenMs?: number
  readonly promptTokens?: number
  readonly completionTokens?: number
  readonly attempts?: number
  readonly outcome?: string
  readonly finishReason?: string
  readonly errorCode?: string
  readonly errorName?: string
  readonly errorMessage?: string
  readonly errorCause?: string
  readonly stack?: string
  /** An agent's, never a client's. */
  readonly address?: string
  readonly url?: string
  readonly path?: string
  readonly version?: string
  readonly signal?: string
  readonly reason?: string
  readonly count?: number
}

const allowed: Readonly<Record<keyof LogFields, true>> = {
  jobId: true,
  keyId: true,
  agentId: true,
  agentName: true,
  instanceId: true,
  model: true,
  method: true,
  route: true,
  status: true,
  durationMs: true,
  firstTokenMs: true,
  promptTokens: true,
  completionTokens: true,
  attempts: true,
  outcome: true,
  finishReason: true,
  errorCode: true,
  errorName: true,
  errorMessage: true,
  errorCause: true,
  stack: true,
  address: true,
  url: true,
  path: true,
  version: true,
  signal: true,
  reason: true,
  count: true,
}

/** `event` is a constant text in the source, never built from input. */
export type Log = {
  debug(event: string, fields?: LogFields): void
  info(event: string, fields?: LogFields): void
  warn(event: string, fields?: LogFields): void
  error(event: string, fields?: LogFields): void
}

/** Text of an error that a line may carry; the rest of a long one is context, such as a statement's parameters. */
const errorCharactersMax = 300

/**
 * An unexpected error as fields. Only the message's first line is kept: a database error puts the values of its
 * statement on the following ones.
 */
export function errorFields(error: unknown): LogFields {
  if (!(error instanceof Error)) return { errorName: typeof error }
  const firstLine = error.message.split('\n', 1)[0] ?? ''
  const frames = error.stack?.split('\n').filter(line => /^\s*at /.test(line)) ?? []
  return {
    errorName: error.name,
    errorMessage: firstLine.slice(0, errorCharactersMax),
    ...(error.cause instanceof Error && { errorCause: describeCause(error.cause) }),
    stack: frames.slice(0, 8).join('\n'),
  }
}

/** A failed statement's own reason, for example that the disk is full, stands in the error beneath it. */
function describeCause(cause: Error): string {
  const code = 'code' in cause ? `${String(cause.code)}: ` : ''
  const firstLine = cause.message.split('\n', 1)[0] ?? ''
  return `${code}${firstLine}`.slice(0, errorCharactersMax)
}

/** Where lines go; standard error when nothing else is said. */
export type LogSink = { write(text: string): void }

/** JSON lines, or coloured ones for a person at a terminal. Written synchronously, so that a crash loses nothing. */
export function createLog(options: {
  level: LogLevel
  pretty: boolean
  clock: Clock
  sink?: LogSink
}): Log {
  const sink = options.sink ?? pino.destination({ fd: 2, sync: true })
  const logger = pino(
    {
      level: options.level,
      base: null,
      timestamp: () => `,"time":"${new Date(options.clock.now()).toISOString()}"`,
      formatters: { level: label => ({ level: label }) },
    },
    options.pretty ? prettySink(sink) : sink,
  )
  return {
    debug: (event, fields) => logger.debug(onlyAllowed(fields), event),
    info: (event, fields) => logger.info(onlyAllowed(fields), event),
    warn: (event, fields) => logger.warn(onlyAllowed(fields), event),
    error: (event, fields) => logger.error(onlyAllowed(fields), event),
  }
}

/** A plain function and not a pino transport: a transport is a worker thread, which loses lines at a crash. */
function prettySink(sink: LogSink): LogSink {
  const toPretty = prettyFactory({ colorize: true, translateTime: 'SYS:HH:MM:ss.l' })
  return { write: line => sink.write(String(toPretty(line))) }
}

function onlyAllowed(fields: LogFields | undefined): object {
  if (fields === undefined) return {}
  return Object.fromEntries(Object.entries(fields).filter(([name]) => Object.hasOwn(allowed, name)))
}
