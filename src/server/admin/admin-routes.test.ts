import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'bun:test'
import { adminKey, testApi, type TestApi } from '../../../test/support/api.ts'
import { emptyDatabase } from '../../../test/support/empty-database.ts'
import { gpu, inventoryOf } from '../../../test/support/scheduler-pool.ts'
import { openTestPglite, type TestStore } from '../../../test/support/pglite.ts'
import {
  enrolled,
  historyEvent,
  minuteMs,
  model,
  request,
  start,
} from '../../../test/support/store-fixtures.ts'
import type { ModelDescription } from '../../models/describe-model.ts'
import type { Failure } from '../../protocol/errors.ts'

let database: TestStore
let api: TestApi
/** What the test's disk holds: path → description. */
let files: Record<string, ModelDescription>

beforeAll(async () => {
  database = await openTestPglite()
}, 60_000)
afterAll(() => database.store.close())
beforeEach(async () => {
  await emptyDatabase(database.db)
  files = { '/models/a.gguf': description('aa'), '/models/b.gguf': description('bb') }
  const describeModel = (path: string): Promise<ModelDescription | Failure> =>
    Promise.resolve(files[path] ?? { code: 'model_file_invalid', message: `${path}: no such file` })
  const fetchNothing = () => Promise.reject(new TypeError('no network in tests'))
  api = await testApi(database.store, { describeModel, fetch: fetchNothing })
})
afterEach(() => api.close())

const description = (byte: string, contextTokensTrained = 32_768): ModelDescription => ({
  ...model('x').manifest,
  sha256: byte.repeat(32),
  contextTokensTrained,
})
/** Every field that some answer here has. */
type Body = {
  readonly key: string
  readonly id: string
  readonly data: readonly Readonly<Record<string, unknown>>[]
  readonly error: { readonly message: string; readonly param: string | null }
  readonly adminState: string
  readonly capabilities: { readonly hostname: string }
  readonly history: readonly { readonly at: string }[]
  readonly contextTokens: number
}
type Answer = { readonly status: number; readonly body: Body }
const json = async (response: Response): Promise<Answer> => ({
  status: response.status,
  body: (await response.json()) as Body,
})
/** The body, to be compared as a whole. */
const whole = ({ body }: Answer): unknown => body
const get = async (path: string) => json(await api.call(path))
const post = async (path: string, body?: unknown) => json(await api.post(path, body ?? ''))
const remove = async (path: string) =>
  json(await api.call(path, { method: 'DELETE', headers: { authorization: `Bearer ${adminKey}` } }))

describe('join links', () => {
  test('one machine, a quarter of an hour and approval by hand are the defaults', async () => {
    expect(whole(await post('/admin/join-links'))).toEqual({
      link: 'https://pool.example:8444/join/gpe_token#ca=fingerprint',
      expiresAt: new Date(start + 15 * minuteMs).toISOString(),
      install: { linux: null, macos: null, windows: null },
    })
    expect(api.pool.joinLinks).toEqual([{ uses: 1, ttlMs: 15 * minuteMs, autoApprove: false }])
  })

  test('options are passed on; a misspelt or impossible one is refused', async () => {
    await post('/admin/join-links', { uses: 3, ttlMs: minuteMs, autoApprove: true })
    expect(api.pool.joinLinks).toEqual([{ uses: 3, ttlMs: minuteMs, autoApprove: true }])
    for (const body of [
      { ttl: 5 },
      { uses: 0 },
      { uses: 1.5 },
      { ttlMs: 0 },
      { autoApprove: 'yes' },
      [],
    ])
      expect((await post('/admin/join-links', body)).status).toBe(400)
    expect(api.pool.joinLinks).toHaveLength(1)
  })
})

describe('keys', () => {
  test('a key is shown once, works, is listed without its secret, and stops working when revoked', async () => {
    const created = await post('/admin/keys', { name: ' chat page ' })
    expect(created.status).toBe(201)
    const { key, ...rest } = created.body
    expect<unknown>(rest).toEqual({
      id: key.split('_')[1],
      name: 'chat page',
      scopes: ['infer', 'models:read'],
      createdAt: new Date(start).toISOString(),
      revokedAt: null,
    })
    const use = () => api.call('/v1/models', { headers: { 'x-api-key': key } })
    expect((await use()).status).toBe(200)
    expect(whole(await get('/admin/keys'))).toEqual({ data: [rest] })
    expect(whole(await remove(`/admin/keys/${rest.id}`))).toEqual({ id: rest.id, revoked: true })
    expect((await use()).status).toBe(401)
    expect((await remove(`/admin/keys/${rest.id}`)).status).toBe(404)
    expect((await get('/admin/keys')).body.data[0]!['revokedAt']).toBeString()
  })

  test('a key without name, with a strange scope or with none is refused', async () => {
    for (const body of [
      {},
      { name: ' ' },
      { name: 'x', scopes: ['root'] },
      { name: 'x', scopes: [] },
      { name: 'x', scope: [] },
    ])
      expect((await post('/admin/keys', body)).status).toBe(400)
    expect((await get('/admin/keys')).body.data).toEqual([])
  })

  test('the operator’s own key cannot be revoked over the API', async () => {
    expect((await remove('/admin/keys/admin')).status).toBe(400)
    expect((await get('/admin/keys')).status).toBe(200)
  })
})

describe('agents', () => {
  test('are listed with what the store keeps and what the pool sees', async () => {
    const { id } = await enrolled(database.store)
    api.pool.live = {
      ...api.pool.live,
      connected: true,
      liveness: 'green',
      activeRequests: 2,
      softwareVersion: '0.1.0',
    }
    const { body } = await get('/admin/agents')
    expect(body.data).toHaveLength(1)
    expect(body.data[0]).toMatchObject({
      id,
      connected: true,
      liveness: 'green',
      activeRequests: 2,
      lastHeartbeatAt: null,
      instances: [],
    })
  })

  test('one is shown with its machine and its history, newest first', async () => {
    const { id } = await enrolled(database.store)
    await database.store.appendHistory([
      historyEvent(id, start + 1_000),
      historyEvent(id, start + 2_000),
    ])
    const { body } = await get(`/admin/agents/${id}`)
    expect(body.capabilities.hostname).toBeString()
    expect(body).toMatchObject({ devices: [], models: [], errors: { outcomes: 0, rate: null } })
    expect(body.history[0]!.at).toBe(new Date(start + 2_000).toISOString())
  })

  test('one shows its devices with every answer, and what it could hold of the catalogue', async () => {
    const lastHotAt = start - 3_600_000
    const { id } = await enrolled(database.store, { capabilities: inventoryOf([gpu()]) })
    await database.store.setAgentHealth(id, {
      thermal: { 'GPU-1': { events: [lastHotAt - 2, lastHotAt - 1, lastHotAt], lastHotAt } },
      errors: { steps: [{ startsAt: lastHotAt, ok: 30, failed: 3 }] },
    })
    await database.store.addModel(model('org/a'))
    const { body } = await get(`/admin/agents/${id}`)
    expect(body).toMatchObject({
      health: { stopped: expect.stringContaining('3 of 33 inferences failed'), slowed: false },
      errors: { outcomes: 33, failed: 3 },
      devices: [
        {
          name: 'NVIDIA L4',
          memoryMb: 23_034,
          eligible: false,
          thermalEvents24h: 3,
          reading: null,
          inventory: { computeCapability: '8.9' },
          answers: Array.from({ length: 5 }, () => expect.objectContaining({ known: true })),
          scoreExplanation: expect.stringMatching(/^\d+\.\d = .*estimated from 300 GB\/s.*\)$/),
        },
      ],
      models: [{ model: 'org/a', fit: 'cpu', reason: expect.stringContaining('3 thermal events') }],
    })
    const { body: listing } = await get('/admin/agents')
    expect(listing.data[0]).toMatchObject({
      devices: [
        {
          id: 'GPU-1',
          name: 'NVIDIA L4',
          memoryMb: 23_034,
          eligible: false,
          score: expect.any(Number),
        },
      ],
    })
  })

  test('an unknown one is 404, whatever its id looks like', async () => {
    for (const id of [crypto.randomUUID(), 'x', '%27%3B--'])
      for (const path of ['', '/approve', '/revoke']) {
        const call = path === '' ? get : post
        expect((await call(`/admin/agents/${id}${path}`)).status).toBe(404)
      }
  })

  test('go from state to state as an operator says, and a revoked one stays out', async () => {
    const { id } = await enrolled(database.store)
    await database.store.setAgentAdminState(id, 'pending')
    const act = async (action: string) => {
      const { status, body } = await post(`/admin/agents/${id}/${action}`)
      return status === 200 ? body.adminState : status
    }
    expect(await act('drain')).toBe(409)
    expect(await act('approve')).toBe('active')
    expect(await act('approve')).toBe('active')
    expect(await act('drain')).toBe('draining')
    expect(await act('approve')).toBe(409)
    expect(await act('resume')).toBe('active')
    expect(await act('revoke')).toBe('revoked')
    for (const action of ['approve', 'drain', 'resume']) expect(await act(action)).toBe(409)
  })
})

describe('models', () => {
  const add = (change: object = {}) =>
    post('/admin/models', { name: 'a', source: '/models/a.gguf', ...change })

  test('a file becomes a model with defaults for a laptop, and the pool hears of it', async () => {
    const { status, body } = await add()
    expect(status).toBe(201)
    expect(body).toMatchObject({
      name: 'a',
      sha256: 'aa'.repeat(32),
      contextTokens: 8_192,
      slots: 4,
      source: '/models/a.gguf',
    })
    expect(api.pool.catalogueReads).toBe(1)
    expect((await get('/admin/models')).body.data).toEqual([body])
  })

  test('vectors may be cut only where the operator says so, and only where there are some', async () => {
    const dimensions = 768
    files['/models/vectors.gguf'] = {
      ...description('cc'),
      kind: 'embedding',
      embedding: { dimensions, dimensionsMin: null },
    }
    const vectors = { name: 'v', source: '/models/vectors.gguf', embeddingDimensionsMin: 128 }
    expect((await add(vectors)).body).toMatchObject({
      kind: 'embedding',
      contextTokens: 2_048,
      slots: 1,
      embeddingDimensions: dimensions,
      embeddingDimensionsMin: 128,
    })
    expect((await add({ ...vectors, embeddingDimensionsMin: 64 })).status).toBe(409)
    expect((await add({ ...vectors, name: 'w', embeddingDimensionsMin: 769 })).status).toBe(400)
    expect((await add({ embeddingDimensionsMin: 128 })).status).toBe(400)
  })

  test('a model gets no more context than it was trained for', async () => {
    files['/models/a.gguf'] = description('aa', 2_048)
    expect((await add({ contextTokens: 4_096 })).body.error.param).toBe('contextTokens')
    expect((await add()).body.contextTokens).toBe(2_048)
  })

  test('the same file under the same name again changes nothing; another file or other settings conflict', async () => {
    const first = await add()
    expect(await add()).toEqual({ ...first, status: 200 })
    expect((await add({ slots: 4, contextTokens: 8_192 })).status).toBe(200)
    expect((await add({ slots: 2 })).status).toBe(409)
    expect((await add({ source: '/models/b.gguf' })).status).toBe(409)
    expect(api.pool.catalogueReads).toBe(1)
  })

  test('what is no model, no name or no source is refused', async () => {
    for (const change of [
      { source: '/models/none.gguf' },
      { source: 'models/a.gguf' },
      { source: 'http://example.org/a.gguf' },
      { source: 'file:///etc/passwd' },
      { source: undefined },
      { name: '../a' },
      { name: undefined },
      { slots: 0 },
      { contextTokens: '8k' },
      { context: 5 },
    ])
      expect((await add(change)).status).toBe(400)
    expect((await get('/admin/models')).body.data).toEqual([])
  })

  test('what agents’ own engines serve is added by its id, with the context that all of them have', async () => {
    const offer = { modelId: 'llama3.1:8b', engine: 'vllm', fingerprint: 'ab'.repeat(32) }
    api.pool.offers = [
      { ...offer, contextTokens: 32_768 },
      { ...offer, contextTokens: 16_384 },
      { ...offer, contextTokens: null },
      { ...offer, modelId: 'other', contextTokens: 512 },
    ]
    const source = 'external:llama3.1:8b'
    const { status, body } = await add({ source })
    expect(status).toBe(201)
    expect(body).toMatchObject({ source, sizeBytes: 0, contextTokens: 16_384, slots: 1 })
    api.pool.offers = []
    expect((await add({ source })).status).toBe(200)
    expect((await add({ source: `${source}#${'ab'.repeat(32)}` })).status).toBe(409)
    expect((await add({ name: 'b', source: 'external:' })).body.error.param).toBe('source')
    expect((await add({ name: 'c', source, contextTokens: 4_096 })).body.contextTokens).toBe(4_096)
    expect(whole(await remove('/admin/models/a'))).toEqual({ name: 'a', removed: true })
  })

  test('how long one stays in memory is changed part by part, and nothing else', async () => {
    await add({ pinned: true })
    expect((await get('/admin/models')).body.data).toMatchObject([
      { pinned: true, idleUnloadMs: null },
    ])
    const stay = (change: object) => post('/admin/models/a/stay', change)
    const changed = { name: 'a', pinned: true, idleUnloadMs: 60_000 }
    expect(whole(await stay({ idleUnloadMs: 60_000 }))).toEqual(changed)
    expect(whole(await stay({ pinned: false, idleUnloadMs: null }))).toEqual({
      name: 'a',
      pinned: false,
      idleUnloadMs: null,
    })
    for (const wrong of [{}, { pinned: 'yes' }, { idleUnloadMs: -1 }, { slots: 3 }])
      expect((await stay(wrong)).status).toBe(400)
    expect((await post('/admin/models/b/stay', { pinned: true })).status).toBe(404)
    expect(api.pool.stayChanges).toEqual(['a', 'a'])
  })

  test('loading asks the pool, on all agents or one, and says why it cannot be', async () => {
    await add({ name: 'org/a' })
    const agent = await enrolled(database.store)
    expect(whole(await post('/admin/models/org%2Fa/load'))).toEqual({ agents: 1 })
    await post('/admin/models/org%2Fa/load', { agentId: agent.id })
    expect(api.pool.loads).toEqual([
      { name: 'org/a', agentId: null },
      { name: 'org/a', agentId: agent.id },
    ])
    expect(
      (await post('/admin/models/org%2Fa/load', { agentId: crypto.randomUUID() })).status,
    ).toBe(404)
    expect((await post('/admin/models/none/load')).status).toBe(404)
    api.pool.loadOutcome = { code: 'no_capable_agent', message: 'too big for all of them' }
    expect((await post('/admin/models/org%2Fa/load')).body.error.message).toBe(
      'too big for all of them',
    )
  })

  test('unloading and removing reach the pool; the operator’s file stays', async () => {
    await add()
    expect(whole(await post('/admin/models/a/unload'))).toEqual({ agents: 1 })
    expect(whole(await remove('/admin/models/a'))).toEqual({ name: 'a', removed: true })
    expect(api.pool.unloads).toEqual(['a', 'a'])
    expect(api.pool.catalogueReads).toBe(2)
    expect((await remove('/admin/models/a')).status).toBe(404)
    expect((await post('/admin/models/a/unload')).status).toBe(404)
  })
})

test('usage is what was settled, by key and model', async () => {
  await database.store.settleRequest(
    request({ keyId: 'admin', model: 'a', promptTokens: 5, completionTokens: 3 }),
  )
  expect((await get('/admin/usage')).body.data).toEqual([
    {
      keyId: 'admin',
      keyName: 'admin',
      model: 'a',
      requests: 1,
      promptTokens: 5,
      completionTokens: 3,
    },
  ])
})
