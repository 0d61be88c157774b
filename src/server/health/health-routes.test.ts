import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'bun:test'
import { testApi, type TestApi } from '../../../test/support/api.ts'
import { emptyDatabase } from '../../../test/support/empty-database.ts'
import { openTestPglite, type TestStore } from '../../../test/support/pglite.ts'
import { request } from '../../../test/support/store-fixtures.ts'

let database: TestStore
let api: TestApi

beforeAll(async () => {
  database = await openTestPglite()
}, 60_000)
afterAll(() => database.store.close())
beforeEach(async () => {
  await emptyDatabase(database.db)
  api = await testApi(database.store)
})
afterEach(() => api.close())

type Readiness = {
  readonly checks: Readonly<Record<'database' | 'agents' | 'models', { ok: boolean }>>
}

describe('health', () => {
  test('/healthz is alive without agents', async () => {
    expect((await api.call('/healthz', { headers: {} })).status).toBe(200)
  })

  test('/readyz says what is missing, and is 200 when nothing is', async () => {
    const first = await api.call('/readyz')
    expect(first.status).toBe(503)
    const { checks } = (await first.json()) as Readiness
    expect(checks.database.ok).toBe(true)
    expect(checks.agents.ok).toBe(false)
    expect(checks.models.ok).toBe(false)
    api.pool.numbers = { ...api.pool.numbers, agentsConnected: 1, slotsTotal: 4 }
    expect((await api.call('/readyz')).status).toBe(200)
  })

  test('/readyz answers also when the database is gone, or hangs', async () => {
    const gone = await testApi({
      ...database.store,
      ping: () => Promise.reject(new Error('host db.internal')),
    })
    const response = await gone.call('/readyz')
    expect(response.status).toBe(503)
    expect(await response.text()).not.toContain('db.internal')
    await gone.close()
    const hanging = await testApi({ ...database.store, ping: () => new Promise(() => {}) })
    const late = hanging.call('/readyz')
    // The check's own timer, and nothing else, is running.
    while (hanging.time.timersRunning === 0) await Promise.resolve()
    hanging.time.advance(2_000)
    expect(((await (await late).json()) as Readiness).checks.database.ok).toBe(false)
    await hanging.close()
  })

  test('/metrics shows requests, tokens and the pool; a name that is no model’s is no label', async () => {
    api.pool.numbers = {
      ...api.pool.numbers,
      agentsConnected: 3,
      agentsGreen: 2,
      queuedByPriority: { high: 0, normal: 5, low: 2 },
    }
    api.metrics.requestEnded(request({ model: 'llama', promptTokens: 10, completionTokens: 4 }))
    api.metrics.requestEnded(
      request({ model: 'canary', outcome: 'failed', errorCode: 'model_not_found' }),
    )
    api.metrics.leased('low', 1_500)
    const text = await (await api.call('/metrics')).text()
    expect(text).toContain('gpupool_requests_total{outcome="completed",model="llama"} 1')
    expect(text).toContain('gpupool_requests_total{outcome="failed",model="unknown"} 1')
    expect(text).toContain('gpupool_tokens_total{kind="completion",model="llama"} 4')
    expect(text).toContain('gpupool_agents{liveness="yellow"} 1')
    expect(text).toContain('gpupool_queue_depth{class="normal"} 5')
    expect(text).toContain('gpupool_queue_wait_seconds_bucket{le="1",class="low"} 0')
    expect(text).toContain('gpupool_queue_wait_seconds_bucket{le="2",class="low"} 1')
    expect(text).toContain('process_cpu_seconds_total')
    expect(text).not.toContain('canary')
  })

  test('/metrics has a bounded number of model labels', async () => {
    for (let i = 0; i < 1_000; i++) api.metrics.requestEnded(request({ model: `m${i}` }))
    const text = await (await api.call('/metrics')).text()
    expect(text.match(/gpupool_requests_total\{/g)!.length).toBeLessThanOrEqual(201)
    expect(text).toContain('gpupool_requests_total{outcome="completed",model="other"} 800')
  })
})
