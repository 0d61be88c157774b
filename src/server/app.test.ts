import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'bun:test'
import { adminKey, testApi, type TestApi } from '../../test/support/api.ts'
import { emptyDatabase } from '../../test/support/empty-database.ts'
import { openTestPglite, type TestStore } from '../../test/support/pglite.ts'
import { request } from '../../test/support/store-fixtures.ts'
import { recordRequestEnd } from './api/request-log.ts'
import { createLog } from './log.ts'
import type { Scope } from './store/store.ts'

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

const chat = { model: 'llama', messages: [{ role: 'user', content: 'hi' }] }
const newKey = async (...scopes: Scope[]): Promise<string> => {
  const response = await api.post('/admin/keys', { name: 'test', scopes })
  return ((await response.json()) as { key: string }).key
}
const errorOf = async (response: Response) => {
  const { error } = (await response.json()) as { error: Record<string, unknown> }
  return { status: response.status, ...error }
}

/** Routes that anybody may call. Whoever adds one here says that it tells a stranger nothing and costs nothing. */
const openRoutes = [
  '/healthz',
  '/readyz',
  '/metrics',
  '/swagger',
  '/swagger/json',
  '/swagger/viewer.js',
  // The agent's executables: whoever holds a join link has no key yet, and there is nothing secret in them.
  '/download',
  '/download/',
  '/download/:name',
]

describe('authentication', () => {
  const routes = () => api.app.routes.map(({ method, path }) => ({ method, path }))
  const concrete = (path: string) => path.replace(/:\w+|\*/g, 'x')

  test('every route asks for a key, before it reads a body, or is on the list of open ones', async () => {
    const unlocked: string[] = []
    for (const { method, path } of routes()) {
      const body = method === 'GET' ? {} : { body: '{not json' }
      const response = await api.call(concrete(path), { method, headers: {}, ...body })
      if (response.status !== 401) unlocked.push(path)
      else expect(response.headers.get('www-authenticate')).toBe('Bearer')
    }
    expect(unlocked.toSorted()).toEqual(openRoutes.toSorted())
  })

  test('every locked route refuses a key that lacks its scope', async () => {
    const byScope = {
      infer: await newKey('infer'),
      'models:read': await newKey('models:read'),
      admin: await newKey('admin'),
    }
    for (const { method, path } of routes()) {
      if (openRoutes.includes(path)) continue
      const statuses = Object.values(byScope).map(async key => {
        const headers = { authorization: `Bearer ${key}` }
        return (await api.call(concrete(path), { method, headers })).status
      })
      expect((await Promise.all(statuses)).filter(status => status === 403)).toHaveLength(2)
    }
  })

  test('a wrong key gets OpenAI’s word for it', async () => {
    expect(await errorOf(await api.post('/v1/chat/completions', chat, 'gpk_wrong'))).toMatchObject({
      status: 401,
      code: 'invalid_api_key',
      type: 'authentication_error',
    })
  })
})

describe('the log', () => {
  test('has one line per request, with the route’s pattern and not its path', async () => {
    await api.call('/v1/models/some-name')
    await api.call('/nothing/here')
    await new Promise(setImmediate)
    const lines = api.logLines.map(line => JSON.parse(line))
    expect(lines).toMatchObject([
      { msg: 'http', method: 'GET', route: '/v1/models/:id', status: 404 },
      { msg: 'http', method: 'GET', route: 'unmatched', status: 404 },
    ])
  })

  test('never holds what a client wrote: prompts, answers, keys, paths, names of models', async () => {
    const canary = 'canary7f3a'
    const key = await newKey('infer')
    api.inference.onSubmit = job => {
      job.say(canary)
      job.say(
        JSON.stringify({ index: 0, id: canary, name: canary, arguments: canary }),
        'tool_call',
      )
      if (api.inference.submissions.length % 2 === 0) job.finish()
      else job.fail({ code: 'internal', message: canary })
      const log = createLog({
        level: 'debug',
        pretty: false,
        clock: api.time,
        sink: { write: line => void (api.logLines as string[]).push(line) },
      })
      const { jobId, keyId, model: name } = job.request
      const end = request({
        jobId,
        keyId,
        model: name,
        outcome: 'failed',
        errorCode: 'model_not_found',
      })
      recordRequestEnd({ log, metrics: api.metrics }, end)
    }
    const full = {
      model: canary,
      messages: [
        { role: 'system', content: canary, name: canary },
        { role: 'user', content: [{ type: 'text', text: canary }] },
        {
          role: 'assistant',
          tool_calls: [
            { id: canary, type: 'function', function: { name: canary, arguments: canary } },
          ],
        },
        { role: 'tool', tool_call_id: canary, content: canary },
      ],
      tools: [
        {
          type: 'function',
          function: { name: canary, description: canary, parameters: { [canary]: canary } },
        },
      ],
      stop: [canary],
      user: canary,
      metadata: { [canary]: canary },
    }
    const bodies = [
      full,
      { ...full, stream: true },
      ...Object.keys(full).map(field => ({ ...full, [field]: { [canary]: canary } })),
      ...['n', 'seed', 'tool_choice', 'response_format', 'logit_bias', 'stream'].map(field => ({
        ...full,
        [field]: canary,
      })),
      `{"${canary}": ${canary}`,
      canary,
    ]
    for (const body of bodies) await (await api.post('/v1/chat/completions', body, key)).text()
    for (const path of [
      `/${canary}`,
      `/v1/models/${canary}`,
      `/v1/models/%E0%A4%A${canary}`,
      `/v1/models?${canary}=${canary}`,
    ])
      await api.call(path, {
        headers: { authorization: `Bearer ${adminKey}`, 'user-agent': canary },
      })
    await api.post('/v1/chat/completions', full, canary)
    await api.post('/admin/keys', { name: canary })
    await api.post('/admin/models', { name: canary, source: `/${canary}` })
    await new Promise(setImmediate)
    const all = api.logLines.join('')
    expect(api.logLines.length).toBeGreaterThan(bodies.length)
    expect(all).not.toContain(canary)
    expect(all).not.toContain(key.slice(13))
    expect(all).not.toContain(adminKey)
  })
})

test('a bug answers 500 without its text, and its text is in the log', async () => {
  const broken = await testApi({
    ...database.store,
    listModels: () => Promise.reject(new Error('boom at db.internal')),
  })
  const response = await broken.call('/v1/models')
  expect(response.status).toBe(500)
  expect(await response.text()).not.toContain('db.internal')
  expect(broken.logLines.join('')).toContain('boom at db.internal')
  await broken.close()
})

test('routes are found by their path, however short the host is', async () => {
  for (const host of ['x', 'gpu', 'localhost', 'pool.example.org']) {
    const at = (path: string) => api.app.handle(new Request(`http://${host}${path}`))
    expect((await at('/healthz')).status).toBe(200)
    expect((await at('/v1/admin/agents')).status).toBe(404)
  }
})
