import { describe, expect, test } from 'bun:test'
import {
  agentId,
  gpu,
  inventoryOf,
  leasesOf,
  Pool,
  ready,
  refusalOf,
  shapeOf,
  tiny,
} from '../../test/support/scheduler-pool.ts'
import type { AgentHealth } from './event.ts'

/** 8 layers of 1,000 MB: whole on an L4, in part on 6 GB. */
const middling = { ...tiny, shape: shapeOf(8, 1_000) }
const l4 = inventoryOf([gpu()])
const small = inventoryOf([gpu({ name: 'NVIDIA RTX A1000', vramTotalMb: 6_144 })])
const old = inventoryOf([gpu({ name: 'NVIDIA GeForce GTX 1080', computeCapability: '6.1' })])
const processor = inventoryOf([])
const healthy: AgentHealth = { stopped: null, slowed: false, unfitGpus: {} }
const holds = (name: string, slots = 2) => ({ instances: [ready(`i-${name}`, tiny, slots)] })

describe('the order of those that can:', () => {
  test('whole on a GPU, then in part, then the processor, whatever their reliability', () => {
    const pool = new Pool([middling])
    pool.up('cpu', { ...holds('cpu', 1), inventory: processor, reliability: 0.99 })
    pool.up('part', { ...holds('part', 1), inventory: small, reliability: 0.7 })
    pool.up('whole', { ...holds('whole', 1), inventory: l4, reliability: 0.1 })
    const order = ['1', '2', '3'].flatMap(job => leasesOf(pool.request(job)))
    expect(order).toEqual(['1@whole', '2@part', '3@cpu'])
  })

  test('a much better card goes before a more reliable one, a somewhat better one does not', () => {
    const h200 = inventoryOf([
      gpu({ name: 'NVIDIA H200', vramTotalMb: 143_771, computeCapability: '9.0' }),
    ])
    const pool = new Pool([middling])
    pool.up('l4', { ...holds('l4'), inventory: l4, reliability: 0.9 })
    pool.up('h200', { ...holds('h200'), inventory: h200, reliability: 0.3 })
    expect(leasesOf(pool.request('1'))).toEqual(['1@h200'])
    const alike = new Pool([middling])
    alike.up('l4', { ...holds('l4'), inventory: l4, reliability: 0.9 })
    const more = inventoryOf([gpu({ vramTotalMb: 23_100 })])
    alike.up('more', { ...holds('more'), inventory: more, reliability: 0.3 })
    expect(leasesOf(alike.request('1'))).toEqual(['1@l4'])
  })

  test('who has not earned anything gives way to who is a little busy, who hardly fails more often does not', () => {
    const pool = new Pool()
    pool.up('a', { ...holds('a'), inventory: l4, reliability: 0.9 })
    pool.up('b', { ...holds('b'), inventory: l4, reliability: 0.3 })
    expect(['1', '2'].flatMap(job => leasesOf(pool.request(job)))).toEqual(['1@a', '2@a'])
    const alike = new Pool()
    alike.up('a', { ...holds('a'), inventory: l4, reliability: 0.75 })
    alike.up('b', { ...holds('b'), inventory: l4, reliability: 0.65 })
    expect(['1', '2'].flatMap(job => leasesOf(alike.request(job)))).toEqual(['1@a', '2@b'])
  })

  test('a fast card that is busy gives way to a slower one that is not, once it would take longer', () => {
    const pool = new Pool([middling])
    const fast = inventoryOf([gpu({ name: 'NVIDIA GeForce RTX 4090', vramTotalMb: 24_564 })])
    pool.up('fast', { ...holds('fast', 8), inventory: fast })
    pool.up('slow', { ...holds('slow', 8), inventory: l4 })
    const placed = ['1', '2', '3', '4', '5', '6', '7', '8'].flatMap(job =>
      leasesOf(pool.request(job)),
    )
    expect(placed.slice(0, 3).every(lease => lease.endsWith('@fast'))).toBe(true)
    expect(placed.filter(lease => lease.endsWith('@slow')).length).toBeGreaterThan(0)
  })

  test('what else a machine is busy with counts, whatever model it is for', () => {
    const other = { ...tiny, name: 'other', sha256: 'c'.repeat(64) }
    const pool = new Pool([tiny, other])
    for (const name of ['a', 'b'])
      pool.up(name, { instances: [ready(`i-${name}`), ready(`o-${name}`, other)], inventory: l4 })
    expect(leasesOf(pool.request('1', 'other'))).toEqual(['1@a'])
    expect(leasesOf(pool.request('2'))).toEqual(['2@b'])
  })

  test('a large machine is kept for large models while small ones can serve, but does not stand idle for them', () => {
    const large = { ...tiny, name: 'large', sha256: 'c'.repeat(64), shape: shapeOf(8, 2_000) }
    const small = { ...tiny, shape: shapeOf(4, 1_000) }
    const size = (vramTotalMb: number) => inventoryOf([gpu({ vramTotalMb })])
    const pool = new Pool([small, large])
    pool.up('a-large', { ...holds('large', 4), inventory: size(24_000) })
    pool.up('b-small', { ...holds('small', 4), inventory: size(12_000) })
    const placed = ['1', '2', '3'].flatMap(job => leasesOf(pool.request(job)))
    expect(placed).toEqual(['1@b-small', '2@a-large', '3@b-small'])
    const alike = new Pool([small])
    alike.up('a-large', { ...holds('large', 4), inventory: size(24_000) })
    alike.up('b-small', { ...holds('small', 4), inventory: size(12_000) })
    expect(leasesOf(alike.request('1'))).toEqual(['1@a-large'])
  })

  test('a small model is loaded on the small machine, however fast the large one is', () => {
    const large = { ...tiny, name: 'large', sha256: 'c'.repeat(64), shape: shapeOf(8, 2_000) }
    const pool = new Pool([{ ...tiny, shape: shapeOf(4, 1_000) }, large])
    const fast = inventoryOf([gpu({ name: 'NVIDIA GeForce RTX 4090', vramTotalMb: 24_564 })])
    pool.up('large', { inventory: fast })
    pool.up('small', { inventory: inventoryOf([gpu({ vramTotalMb: 12_000 })]) })
    expect(leasesOf(pool.request('1'))).toEqual(['1@small'])
    expect(leasesOf(pool.request('2', 'large'))).toEqual(['2@large'])
  })

  test('a machine without a GPU is overflow: it gets work when nobody else has a slot, and loads when nobody else could', () => {
    const pool = new Pool([middling])
    pool.up('cpu', { ...holds('cpu', 4), inventory: processor, reliability: 0.99 })
    pool.up('whole', { ...holds('whole', 3), inventory: l4, reliability: 0.1 })
    const placed = ['1', '2', '3', '4'].flatMap(job => leasesOf(pool.request(job)))
    expect(placed).toEqual(['1@whole', '2@whole', '3@whole', '4@cpu'])
    const empty = new Pool([middling])
    empty.up('cpu', { inventory: processor, reliability: 0.99 })
    empty.up('whole', { inventory: l4, reliability: 0.1 })
    expect(leasesOf(empty.request('1'))).toEqual(['1@whole'])
  })

  test('of the first ones, a long prompt goes to the one that reads fastest', () => {
    const reads = (tokensPerS: number, answersPerS: number) =>
      inventoryOf([
        gpu({
          measured: {
            decode: { tokensPerS: answersPerS, workPerToken: 4.9e9 },
            prefill: { tokensPerS, workPerToken: 16e9 },
            memoryUsableMb: null,
            engine: 'test',
            atMs: 0,
            reason: null,
          },
        }),
      ])
    const pool = new Pool([middling])
    pool.up('reader', { ...holds('reader'), inventory: reads(4_000, 30) })
    pool.up('writer', { ...holds('writer'), inventory: reads(800, 120) })
    const prompt = (tokens: number) => ({ prefixes: [{ hash: tokens, tokens }] })
    expect(leasesOf(pool.request('1', 'tiny', [], prompt(200)))).toEqual(['1@writer'])
    pool.release('1')
    expect(leasesOf(pool.request('2', 'tiny', [], prompt(8_000)))).toEqual(['2@reader'])
  })

  test('heat makes a machine give way to its equals, not to a lesser one', () => {
    const pool = new Pool([middling])
    pool.up('hot', { ...holds('hot'), inventory: l4, reliability: 0.9 })
    pool.up('cpu', { ...holds('cpu'), inventory: processor, reliability: 0.9 })
    pool.handle({
      type: 'health',
      agentId: agentId('hot'),
      health: { ...healthy, slowed: true },
    })
    expect(leasesOf(pool.request('1'))).toEqual(['1@hot'])
    pool.up('cool', { ...holds('cool'), inventory: l4, reliability: 0.1 })
    expect(leasesOf(pool.request('2'))).toEqual(['2@cool'])
  })
})

describe('a machine whose only GPU may not serve', () => {
  test('loads without it', () => {
    const pool = new Pool([middling])
    pool.up('old', { inventory: old })
    expect(pool.request('1')).toMatchObject([{ type: 'load', withoutGpu: true }, { type: 'lease' }])
    pool.up('new', { inventory: l4 })
    pool.handle({ type: 'load_model', model: 'tiny', agentId: null, spareInstanceIds: [] })
    expect(pool.request('2')).toMatchObject([
      { type: 'lease', agentId: 'old' },
      { type: 'load', agentId: 'new', withoutGpu: false },
    ])
  })

  test('gets no new work for what lies on it, lets that go when it is idle, and comes back without it', () => {
    const pool = new Pool([middling])
    pool.up('a', { ...holds('a'), inventory: l4 })
    pool.request('running')
    const unfitGpus = { 'GPU-1': '3 thermal events in 24 h, 3 are too many' }
    pool.handle({ type: 'health', agentId: agentId('a'), health: { ...healthy, unfitGpus } })
    expect(refusalOf(pool.request('1'))?.message).toContain('3 thermal events in 24 h')
    expect(pool.tick(1)).toEqual([])
    pool.release('running')
    expect(pool.tick(1)).toMatchObject([{ type: 'unload', instanceId: 'i-a' }])
    expect(pool.request('2')).toMatchObject([{ type: 'load', withoutGpu: true }, { type: 'lease' }])
    expect(pool.tick(1)).toEqual([])
  })
})

test('where holders only make do, an idle machine that would hold the model better loads it meanwhile, once', () => {
  const pool = new Pool([middling])
  pool.up('cpu', { ...holds('cpu', 9), inventory: processor })
  pool.up('part', { inventory: small })
  pool.up('whole', { inventory: l4 })
  pool.up('whole-too', { inventory: l4 })
  expect(pool.request('1')).toMatchObject([
    { type: 'lease', agentId: 'cpu', ready: true },
    { type: 'load', agentId: 'whole' },
  ])
  expect(pool.request('2').map(command => command.type)).toEqual(['lease'])
})

describe('a machine that is stopped', () => {
  const stop = (pool: Pool, passing: boolean) =>
    pool.handle({
      type: 'health',
      agentId: agentId('a'),
      health: { ...healthy, stopped: { reason: 'the GPU is at 97 °C', passing } },
    })

  test('for heat has requests wait until it has cooled, and keeps what it runs', () => {
    const pool = new Pool()
    pool.up('a', holds('a'))
    pool.request('running')
    stop(pool, true)
    expect(pool.request('1')).toMatchObject([{ type: 'queued' }])
    const cooled = pool.handle({ type: 'health', agentId: agentId('a'), health: healthy })
    expect(leasesOf(cooled)).toEqual(['1@a'])
  })

  test('for good has requests refused with the reason', () => {
    const pool = new Pool()
    pool.up('a', holds('a'))
    stop(pool, false)
    expect(refusalOf(pool.request('1'))?.message).toContain('the GPU is at 97 °C')
  })
})
