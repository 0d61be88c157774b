import { expect, test } from 'bun:test'
import type { ModelManifest } from '../../src/models/manifest.ts'
import type { Store } from '../../src/server/store/store.ts'
import {
  enrolled,
  joinToken,
  key,
  model,
  rejects,
  request,
  shape,
  start,
} from './store-fixtures.ts'
import type { StoreRows } from './store-rows.ts'

/** The part of the store's promises that is about keys, models and the ledger; see `storeConformance`. */

export function keyPromises(store: () => Store): void {
  test('come back as they were made, oldest first', async () => {
    const newer = key({ id: 'a', createdAt: start + 1, scopes: ['admin', 'infer:priority'] })
    const older = key({ id: 'b', scopes: [] })
    await store().createKey(newer)
    await store().createKey(older)
    expect(await store().getKey('a')).toEqual(newer)
    expect(await store().listKeys()).toEqual([older, newer])
    expect(await store().getKey('c')).toBeUndefined()
  })

  test('are revoked once, at the first time given', async () => {
    await store().createKey(key())
    expect(await store().revokeKey('key-1', start + 5)).toBe(true)
    expect(await store().revokeKey('key-1', start + 6)).toBe(false)
    expect(await store().revokeKey('key-2', start)).toBe(false)
    expect((await store().getKey('key-1'))?.revokedAt).toBe(start + 5)
  })

  test('an id is given once', async () => {
    await store().createKey(key())
    expect(await rejects(store().createKey(key({ name: 'other' })))).toBe(true)
  })
}

export function modelPromises(store: () => Store): void {
  test('come back as they were added, by name', async () => {
    const names = ['qwen', 'Llama', 'llama-3.1:8b/q4', 'llama']
    for (const name of names) expect(await store().addModel(model(name))).toBe(true)
    expect(await store().listModels()).toEqual(
      ['Llama', 'llama', 'llama-3.1:8b/q4', 'qwen'].map(name => model(name)),
    )
    expect(await store().getModel('qwen')).toEqual(model('qwen'))
    expect(await store().getModel('QWEN')).toBeUndefined()
  })

  test('keep their shape, also that it is not known; one from before shapes has none', async () => {
    const withShape = (name: string, change: Pick<ModelManifest, 'shape'>) =>
      model(name, { manifest: { ...model(name).manifest, ...change } })
    const records = [withShape('a', { shape }), withShape('b', { shape: null }), withShape('c', {})]
    for (const record of records) await store().addModel(record)
    expect(await store().listModels()).toEqual(records)
  })

  test('a taken name stays what it was, also when two add it at once', async () => {
    const results = await Promise.all([1, 2].map(slots => store().addModel(model('m', { slots }))))
    expect(results.toSorted()).toEqual([false, true])
    const kept = await store().getModel('m')
    expect(kept?.slots).toBe(results[0] === true ? 1 : 2)
  })

  test('are removed once, and the name is free again', async () => {
    await store().addModel(model('m'))
    expect(await store().removeModel('m')).toBe(true)
    expect(await store().removeModel('m')).toBe(false)
    expect(await store().addModel(model('m'))).toBe(true)
  })

  test('stay in memory as long as was said last, each part for itself', async () => {
    await store().addModel(model('m'))
    expect(await store().setModelStay('m', { pinned: true })).toBe(true)
    expect(await store().setModelStay('m', { idleUnloadMs: 0 })).toBe(true)
    expect(await store().getModel('m')).toMatchObject({ pinned: true, idleUnloadMs: 0 })
    await store().setModelStay('m', { pinned: false, idleUnloadMs: null })
    expect(await store().getModel('m')).toEqual(model('m'))
    expect(await store().setModelStay('other', { pinned: true })).toBe(false)
  })

  test('orders of models are kept for each agent until they are taken back', async () => {
    const [a, b] = [await enrolled(store()), await enrolled(store(), { name: 'attic' })]
    await store().setModelOrder(a.id, 'm', true)
    await store().setModelOrder(a.id, 'm', false)
    await store().setModelOrder(b.id, 'm', true)
    await store().setModelOrder(b.id, 'n', true)
    await store().setModelOrder(b.id, 'n', null)
    await store().setModelOrder(b.id, 'never', null)
    const orders = [
      { agentId: a.id, model: 'm', loaded: false },
      { agentId: b.id, model: 'm', loaded: true },
    ]
    const byAgent = (x: { agentId: string }, y: { agentId: string }) =>
      x.agentId < y.agentId ? -1 : 1
    expect(await store().listModelOrders()).toEqual(orders.toSorted(byAgent))
  })

  test.each([{ slots: 0 }, { contextTokens: 0 }, { idleUnloadMs: -1 }])(
    '%p is refused',
    async change => {
      expect(await rejects(store().addModel(model('m', change)))).toBe(true)
    },
  )
}

export function requestPromises(store: () => Store, rows: () => StoreRows): void {
  const oneRequest = { requests: 1, promptTokens: 12, completionTokens: 30 }

  test('a job counts once, however often and however parallel it is settled', async () => {
    await store().createKey(key())
    const settled = request()
    await Promise.all(Array.from({ length: 20 }, () => store().settleRequest(settled)))
    await store().settleRequest({ ...settled, completionTokens: 999 })
    expect(await store().usage()).toEqual([
      { keyId: 'key-1', keyName: 'laptop', model: settled.model, ...oneRequest },
    ])
  })

  test('usage sums per key and model, in order, parallel settlements included', async () => {
    await store().createKey(key({ id: 'k1', name: 'zoo' }))
    await store().createKey(key({ id: 'k2', name: 'ant' }))
    const settle = (keyId: string, name: string, count: number) =>
      Array.from({ length: count }, () => store().settleRequest(request({ keyId, model: name })))
    await Promise.all([...settle('k1', 'a', 15), ...settle('k2', 'b', 2), ...settle('k2', 'a', 1)])
    expect(await store().usage()).toEqual([
      { keyId: 'k2', keyName: 'ant', model: 'a', ...oneRequest },
      {
        keyId: 'k2',
        keyName: 'ant',
        model: 'b',
        requests: 2,
        promptTokens: 24,
        completionTokens: 60,
      },
      {
        keyId: 'k1',
        keyName: 'zoo',
        model: 'a',
        requests: 15,
        promptTokens: 180,
        completionTokens: 450,
      },
    ])
  })

  test('sums are exact beyond 32 bits', async () => {
    const promptTokens = 2 ** 31 - 1
    for (let n = 0; n < 3; n += 1) await store().settleRequest(request({ promptTokens }))
    expect((await store().usage())[0]?.promptTokens).toBe(3 * promptTokens)
  })

  test('a key without a row is shown by its id, and failures count what they used', async () => {
    const { id } = await enrolled(store())
    await store().settleRequest(
      request({
        keyId: 'operator',
        agentId: id,
        outcome: 'failed',
        finishReason: null,
        errorCode: 'agent_lost',
        completionTokens: 0,
        firstTokenAt: null,
      }),
    )
    expect(await store().usage()).toMatchObject([{ keyName: 'operator', completionTokens: 0 }])
  })

  test('a negative count is refused and adds nothing', async () => {
    expect(await rejects(store().settleRequest(request({ completionTokens: -1 })))).toBe(true)
    expect(await store().usage()).toEqual([])
  })

  test('a settlement whose usage cannot be added leaves no request behind', async () => {
    const settled = request()
    await store().settleRequest(request())
    await rows().setPromptTokens(9_223_372_036_854_775_807n)
    expect(await rejects(store().settleRequest(settled))).toBe(true)
    await rows().setPromptTokens(0n)
    await store().settleRequest(settled)
    expect(await store().usage()).toMatchObject([{ requests: 2, promptTokens: 12 }])
  })
}

export function parallelSettlePromises(store: () => Store): void {
  test('hundreds at once are all counted, and one that cannot be stored takes no other along', async () => {
    const good = Array.from({ length: 300 }, (_, i) => request({ model: `m${i % 3}` }))
    const bad = request({ completionTokens: -1 })
    const settled = [...good.slice(0, 150), bad, ...good.slice(150), ...good.slice(0, 20)].map(
      each => rejects(store().settleRequest(each)),
    )
    expect((await Promise.all(settled)).filter(failed => failed)).toHaveLength(1)
    const counts = (await store().usage()).map(row => row.requests)
    expect(counts).toEqual([100, 100, 100])
  })
}

export function prunePromises(store: () => Store, rows: () => StoreRows): void {
  test('takes what is older than asked for, and leaves usage and everything younger', async () => {
    const { id } = await enrolled(store())
    const event = { agentId: id, type: 'connected', metadata: {} } as const
    await store().appendHistory([
      { ...event, at: start - 1 },
      { ...event, at: start },
    ])
    const young = request({ endedAt: start })
    await store().settleRequest(request({ endedAt: start - 1 }))
    await store().settleRequest(young)
    await store().createJoinToken(joinToken({ id: 'old', expiresAt: start - 1 }))
    await store().createJoinToken(joinToken({ id: 'young', expiresAt: start }))
    await store().prune({
      requestsEnded: start,
      history: start,
      events: start,
      eventsMax: 10,
      joinTokensExpired: start,
    })
    expect((await store().listHistory(id, 10)).map(({ at }) => at)).toEqual([start])
    expect(await rows().jobIds()).toEqual([young.jobId])
    const tokenIds = await rows().joinTokenIds()
    expect(tokenIds).not.toContain('old')
    expect(tokenIds).toContain('young')
    expect(await store().usage()).toMatchObject([{ requests: 2 }])
  })
}
