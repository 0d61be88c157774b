import { expect, test } from 'bun:test'
import { jobId } from '../../test/support/scheduler-pool.ts'
import { WaitEstimates } from './wait-estimates.ts'

/** Two slots, taken at 0 and at 4 s, each held for 10 s as far as was measured. */
function twoSlots(): WaitEstimates {
  const estimates = new WaitEstimates()
  estimates.began('tiny', jobId('measured'), -10_000)
  estimates.ended('tiny', jobId('measured'), 0)
  estimates.began('tiny', jobId('1'), 0)
  estimates.began('tiny', jobId('2'), 4_000)
  return estimates
}

test('nothing is estimated before anything was measured, or while nothing runs', () => {
  const estimates = new WaitEstimates()
  estimates.began('tiny', jobId('1'), 0)
  expect(estimates.forModel('tiny', 1_000)(1)).toBeNull()
  estimates.ended('tiny', jobId('1'), 2_000)
  expect(estimates.forModel('tiny', 3_000)(1)).toBeNull()
  expect(estimates.forModel('unheard of', 0)(1)).toBeNull()
})

test('places start as slots come free: the one taken first first, then each again after its time', () => {
  const wait = twoSlots().forModel('tiny', 5_000)
  expect([1, 2, 3, 4, 5].map(wait)).toEqual([5_000, 9_000, 15_000, 19_000, 25_000])
})

test('a request that takes longer than usual is expected to need a quarter of the usual time yet', () => {
  expect(twoSlots().forModel('tiny', 30_000)(1)).toBe(2_500)
})

test('an interrupted request is no measure', () => {
  const estimates = twoSlots()
  estimates.interrupted('tiny', jobId('1'))
  estimates.ended('tiny', jobId('1'), 1_000_000)
  expect(estimates.forModel('tiny', 4_000)(1)).toBe(10_000)
})

test('models that are gone are forgotten, once nothing of them runs', () => {
  const estimates = twoSlots()
  estimates.keepOnly(() => false)
  expect(estimates.forModel('tiny', 4_000)(2)).toBe(10_000)
  estimates.ended('tiny', jobId('1'), 10_000)
  estimates.ended('tiny', jobId('2'), 14_000)
  estimates.keepOnly(() => false)
  estimates.began('tiny', jobId('3'), 15_000)
  expect(estimates.forModel('tiny', 16_000)(1)).toBeNull()
})
