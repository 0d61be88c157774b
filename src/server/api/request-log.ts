import { Elysia } from 'elysia'
import type { Clock, Instant } from '../../clock.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { RequestRecord } from '../store/store.ts'

/**
 * One log line per HTTP request. A chat request that reached the pool ends long after its headers, so its line is
 * written by `recordRequestEnd` instead.
 */
export class RequestLog {
  readonly #startedAt = new WeakMap<Request, Instant>()
  readonly #loggedAtEnd = new WeakSet<Request>()

  /** Leaves the line of this request to `recordRequestEnd`. */
  loggedAtItsEnd(request: Request): void {
    this.#loggedAtEnd.add(request)
  }

  plugin(deps: { readonly log: Log; readonly clock: Clock }) {
    return new Elysia({ name: 'request-log' })
      .onRequest(({ request }) => {
        this.#startedAt.set(request, deps.clock.now())
      })
      .onAfterResponse({ as: 'global' }, ({ request, route, set, responseValue }) => {
        if (this.#loggedAtEnd.has(request)) return
        const now = deps.clock.now()
        const status = responseValue instanceof Response ? responseValue.status : set.status
        deps.log.info('http', {
          method: request.method,
          // The pattern and not the path: a path holds what the client typed.
          route: route === undefined || route === '' ? 'unmatched' : route,
          ...(typeof status === 'number' ? { status } : {}),
          durationMs: Math.round(now - (this.#startedAt.get(request) ?? now)),
        })
      })
  }
}

/** The end of a request that reached the pool: its one log line and its metrics. To be called once for each. */
export function recordRequestEnd(
  deps: { readonly log: Log; readonly metrics: Metrics },
  record: RequestRecord,
): void {
  deps.metrics.requestEnded(record)
  deps.log.info('request', {
    jobId: record.jobId,
    keyId: record.keyId,
    // A name that is no model's is what the client typed, and could be anything.
    ...(record.errorCode === 'model_not_found' ? {} : { model: record.model }),
    ...(record.agentId === null ? {} : { agentId: record.agentId }),
    outcome: record.outcome,
    ...(record.finishReason === null ? {} : { finishReason: record.finishReason }),
    ...(record.errorCode === null ? {} : { errorCode: record.errorCode }),
    attempts: record.attempts,
    promptTokens: record.promptTokens,
    completionTokens: record.completionTokens,
    durationMs: Math.round(record.endedAt - record.receivedAt),
    ...(record.firstTokenAt === null
      ? {}
      : { firstTokenMs: Math.round(record.firstTokenAt - record.receivedAt) }),
  })
}
