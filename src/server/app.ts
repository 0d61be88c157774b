import { Elysia } from 'elysia'
import type { Clock } from '../clock.ts'
import { describeModel } from '../models/describe-model.ts'
import { agentRoutes } from './admin/agent-routes.ts'
import { eventRoutes } from './admin/event-routes.ts'
import { joinLinkRoutes } from './admin/join-link-routes.ts'
import { keyRoutes } from './admin/key-routes.ts'
import { ModelLibrary, type ModelLibraryDeps } from './admin/model-library.ts'
import { adminModelRoutes } from './admin/model-routes.ts'
import { modelStayRoutes } from './admin/model-stay-routes.ts'
import { queueRoutes } from './admin/queue-routes.ts'
import { usageRoutes } from './admin/usage-routes.ts'
import { chatBodyBytesMax } from './api/chat-request.ts'
import { chatRoutes } from './api/chat-routes.ts'
import { docsRoutes } from './api/docs-routes.ts'
import { modelRoutes } from './api/model-routes.ts'
import { RequestLog } from './api/request-log.ts'
import { startSystemTimer, type StartTimer } from './api/timer.ts'
import { vectorRoutes } from './api/vector-routes.ts'
import { KeyService } from './auth/key-service.ts'
import type { Config } from './config.ts'
import { downloadRoutes } from './download/download-routes.ts'
import type { DownloadFiles } from './download/download-files.ts'
import { healthRoutes } from './health/health-routes.ts'
import { errorResponse } from './http-error.ts'
import type { Inference } from './inference.ts'
import { errorFields, type Log } from './log.ts'
import type { Metrics } from './metrics.ts'
import type { PoolAdmin } from './pool-admin.ts'
import type { Store } from './store/store.ts'

export type AppDeps = {
  readonly config: Pick<Config, 'dataDir'>
  readonly store: Store
  readonly inference: Inference
  readonly poolAdmin: PoolAdmin
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
  readonly downloads: DownloadFiles
  readonly adminKey: string
  /** Replaced in tests, where time is moved by hand. */
  readonly startTimer?: StartTimer
  /** Replaced in tests, which have no model of gigabytes and no internet. */
  readonly modelFiles?: Pick<ModelLibraryDeps, 'describeModel' | 'fetch'>
}

export type App = ReturnType<typeof createApp>

/**
 * How Bun serves the app. Elysia's own defaults would let a second server share the port unnoticed (`reusePort`), show
 * sources in error pages (`development`) and route past percent-encoding in Bun's router (`systemRouter`).
 */
const serveOptions = {
  reusePort: false,
  development: false,
  // An idle keep-alive connection, and a request whose body does not come. Long answers set their own.
  idleTimeout: 30,
  // Above the routes' own limits, so that theirs answers, with a body that says what is wrong.
  maxRequestBodySize: 2 * chatBodyBytesMax,
}

/**
 * Elysia looks for the path from the eleventh character of the URL on, so that with a host of three letters the route
 * is another one than the path says; this makes it begin after the scheme.
 */
const handler = { standardHostname: false }

/** The HTTP API: inference, administration, health and documentation, one plugin each. */
export function createApp(deps: AppDeps) {
  const { config, store, inference, poolAdmin, clock, log, metrics, downloads } = deps
  const startTimer = deps.startTimer ?? startSystemTimer
  const keys = new KeyService({ store, clock, adminKey: deps.adminKey })
  const { describeModel: describe, fetch: download } = deps.modelFiles ?? { describeModel, fetch }
  const library = new ModelLibrary({
    dataDir: config.dataDir,
    describeModel: describe,
    fetch: download,
  })
  const requestLog = new RequestLog()
  return new Elysia({ name: 'gpupool', systemRouter: false, serve: serveOptions, handler })
    .use(requestLog.plugin({ log, clock }))
    .onError({ as: 'global' }, ({ code, error, set }) => {
      const response = answerToError(code, error, log)
      set.status = response.status
      return response
    })
    .use(chatRoutes({ keys, inference, clock, startTimer, requestLog }))
    .use(vectorRoutes({ keys, inference, clock, requestLog }))
    .use(modelRoutes({ keys, store }))
    .use(joinLinkRoutes({ keys, poolAdmin, clock, downloads }))
    .use(keyRoutes({ keys }))
    .use(agentRoutes({ keys, poolAdmin, store }))
    .use(adminModelRoutes({ keys, store, poolAdmin, library, clock }))
    .use(modelStayRoutes({ keys, store, poolAdmin, library, clock }))
    .use(usageRoutes({ keys, store }))
    .use(queueRoutes({ keys, poolAdmin }))
    .use(eventRoutes({ keys, store }))
    .use(healthRoutes({ store, counts: () => poolAdmin.counts(), metrics, startTimer }))
    .use(downloadRoutes(downloads))
    .use(docsRoutes())
}

/** What Elysia refuses by itself, and bugs: those are logged, and the client learns nothing of the inside. */
function answerToError(code: string | number, error: unknown, log: Log): Response {
  if (code === 'NOT_FOUND')
    return errorResponse({ code: 'not_found', message: 'There is no such route. See /swagger.' })
  if (code === 'VALIDATION' || code === 'PARSE' || code === 'INVALID_COOKIE_SIGNATURE')
    return errorResponse({
      code: 'invalid_request',
      message: 'The address of the request is malformed.',
    })
  log.error('bug', errorFields(error))
  return errorResponse({ code: 'internal', message: 'Something went wrong inside the server.' })
}
