import { expect, test } from 'bun:test'
import { newInstanceId } from '../protocol/ids.ts'
import { parseIdleUnload } from './idle-unload.ts'
import { assignOf, Bench, brief, loadOf, ready } from './instances-for-tests.ts'

const a = newInstanceId()
const b = newInstanceId()
const minute = 60_000

test('half an hour is the default, 0 means never, and anything else is refused in words', () => {
  expect([undefined, '', '0', '5'].map(parseIdleUnload)).toEqual([
    30 * minute,
    30 * minute,
    null,
    5 * minute,
  ])
  for (const text of ['-1', '1.5', 'x', ' ', '99999999'])
    expect(parseIdleUnload(text)).toContain('GPUPOOL_AGENT_IDLE_UNLOAD_MINUTES must be')
})

test('a model that nobody has used for long is unloaded, one in use or used lately is not', () => {
  const bench = new Bench()
  const check = () => brief(bench.handle({ type: 'idle_check', idleUnloadMs: 30 * minute }))
  const engineA = bench.ready(a, 'a')
  const engineB = bench.ready(b, 'b')
  bench.order(assignOf(a, 1))
  bench.now += 30 * minute - 1
  expect(check()).toEqual([])
  bench.order(assignOf(b, 2))
  bench.word(engineB, { type: 'finished', stream: 2, attempt: 0, reason: 'stop', tokens: 3 })
  bench.now += 1
  expect(check()).toEqual([])
  bench.word(engineA, { type: 'finished', stream: 1, attempt: 0, reason: 'stop', tokens: 3 })
  bench.now += 30 * minute - 1
  expect(check()).toEqual(['close_engine'])
  expect(brief(bench.handle({ type: 'engine_closed', engine: engineB }))).toEqual([
    'instance unloaded',
  ])
  expect(bench.instances.held.map(({ load }) => load.instanceId)).toEqual([a])
})

test('the server’s word on a model counts before this machine’s, also when it changes', () => {
  const bench = new Bench()
  const engine = bench.ready(a, 'a')
  const check = (idleUnloadMs: number | null) =>
    brief(bench.handle({ type: 'idle_check', idleUnloadMs }))
  const say = (stay: object) => brief(bench.order({ ...loadOf(a, 'a'), ...stay }))
  bench.now += 60 * minute
  expect(say({ pinned: true })).toEqual(['instance ready'])
  expect(check(30 * minute)).toEqual([])
  say({ idleUnloadMs: 0 })
  expect(check(30 * minute)).toEqual([])
  say({ idleUnloadMs: 61 * minute })
  expect(check(30 * minute)).toEqual([])
  say({})
  expect(check(null)).toEqual([])
  say({ idleUnloadMs: 60 * minute })
  expect(check(null)).toEqual(['close_engine'])
  expect(brief(bench.handle({ type: 'engine_closed', engine }))).toEqual(['instance unloaded'])
})

test('a model of the owner’s own engine stays: its memory is not ours', () => {
  const bench = new Bench()
  const source = { kind: 'external', modelId: 'llama3.1:8b', fingerprint: null } as const
  bench.order({ ...loadOf(a), sources: [source] })
  bench.word(1, ready)
  bench.now += 60 * minute
  expect(bench.handle({ type: 'idle_check', idleUnloadMs: 30 * minute })).toEqual([])
})
