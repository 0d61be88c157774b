import { Elysia, t } from 'elysia'
import { describeRoute } from '../api/describe-route.ts'
import type { StartTimer } from '../api/timer.ts'
import type { Metrics } from '../metrics.ts'
import type { PoolAdmin } from '../pool-admin.ts'
import type { Store } from '../store/store.ts'

/** A database that takes longer to say anything counts as not answering. */
const pingTimeoutMs = 2_000

const Check = t.Object({ ok: t.Boolean(), detail: t.String({ description: 'For people' }) })
const Readiness = t.Object({
  ready: t.Boolean(),
  checks: t.Object({ database: Check, agents: Check, models: Check }),
})
type Check = typeof Check.static
type Readiness = typeof Readiness.static

const describeHealth = describeRoute({
  tag: 'Server',
  summary: 'Is the process alive?',
  scope: null,
  success: {
    description: 'It is',
    schema: t.Object({ status: t.Literal('ok') }),
    example: { status: 'ok' },
  },
  errors: [],
})

const readyExample: Readiness = {
  ready: true,
  checks: {
    database: { ok: true, detail: 'the database answers' },
    agents: { ok: true, detail: '2 agents are connected' },
    models: { ok: true, detail: '8 slots of loaded models are ready' },
  },
}

const describeReadiness = describeRoute({
  tag: 'Server',
  summary: 'Can requests be answered?',
  description: '200 when they can, else 503 with the same body, which says what is missing.',
  scope: null,
  success: {
    description: 'Database, agents and models are ready',
    schema: Readiness,
    example: readyExample,
  },
  errors: [],
})

const describeMetrics = describeRoute({
  tag: 'Server',
  summary: 'Metrics for Prometheus',
  scope: null,
  success: {
    description: 'Prometheus text format',
    schema: t.String(),
    example: 'gpupool_requests_total{outcome="completed",model="llama-3.1-8b-q4"} 12',
  },
  errors: [],
})

/** What load balancers, orchestrators and Prometheus ask; no key is needed and nothing secret is said. */
export const healthRoutes = (deps: {
  readonly store: Pick<Store, 'ping'>
  readonly counts: PoolAdmin['counts']
  readonly metrics: Metrics
  readonly startTimer: StartTimer
}) =>
  new Elysia({ name: 'health' })
    .get('/healthz', () => ({ status: 'ok' }), { detail: describeHealth })
    .get(
      '/readyz',
      async () => {
        const readiness = await checkReadiness(deps)
        return Response.json(readiness, { status: readiness.ready ? 200 : 503 })
      },
      { detail: describeReadiness },
    )
    .get(
      '/metrics',
      async () =>
        new Response(await deps.metrics.render(), {
          headers: { 'content-type': deps.metrics.contentType },
        }),
      { detail: describeMetrics },
    )

async function checkReadiness(deps: Parameters<typeof healthRoutes>[0]): Promise<Readiness> {
  const { agentsConnected, slotsTotal } = deps.counts()
  const checks = {
    database: await checkDatabase(deps),
    agents: {
      ok: agentsConnected > 0,
      detail: `${agentsConnected} ${agentsConnected === 1 ? 'agent is' : 'agents are'} connected`,
    },
    models: {
      ok: slotsTotal > 0,
      detail:
        slotsTotal > 0 ? `${slotsTotal} slots of loaded models are ready` : 'no model is loaded',
    },
  }
  return { ready: Object.values(checks).every(check => check.ok), checks }
}

async function checkDatabase(deps: {
  readonly store: Pick<Store, 'ping'>
  readonly startTimer: StartTimer
}): Promise<Check> {
  const late = Promise.withResolvers<'late'>()
  const stopTimer = deps.startTimer(pingTimeoutMs, () => late.resolve('late'))
  // A rejection is what a database that is gone looks like; its text may name hosts, so it stays inside.
  const answer = deps.store.ping().then(
    () => 'answers' as const,
    () => 'gone' as const,
  )
  const outcome = await Promise.race([answer, late.promise])
  stopTimer()
  switch (outcome) {
    case 'answers':
      return { ok: true, detail: 'the database answers' }
    case 'gone':
      return { ok: false, detail: 'the database does not answer' }
    case 'late':
      return { ok: false, detail: `the database did not answer within ${pingTimeoutMs} ms` }
  }
}
