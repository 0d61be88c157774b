import { expect, test } from 'bun:test'
import { limits } from '../../protocol/limits.ts'
import { TokenPace } from './token-pace.ts'

const paceOf = (...gapsMs: readonly number[]): TokenPace => {
  const pace = new TokenPace()
  let now = 1_000
  pace.arrived(now)
  for (const gapMs of gapsMs) pace.arrived((now += gapMs))
  return pace
}
const times = (count: number, gapMs: number) => Array.from({ length: count }, () => gapMs)

test('a stream has stalled after eight of its median gaps, and never before half a second', () => {
  expect(paceOf(...times(15, 100)).stallAfterMs()).toBe(800)
  expect(paceOf(...times(15, 50)).stallAfterMs()).toBe(limits.stallMinMs)
  expect(paceOf(...times(15, 1_000)).stallAfterMs()).toBe(8_000)
})

test('before there are a few gaps, no pace is known', () => {
  expect(new TokenPace().stallAfterMs()).toBe(limits.stallUnknownPaceMs)
  expect(paceOf(20, 20, 20).stallAfterMs()).toBe(limits.stallUnknownPaceMs)
  expect(paceOf(20, 20, 20, 20).stallAfterMs()).toBe(limits.stallMinMs)
})

test('single pauses do not move it, a new pace does', () => {
  expect(paceOf(...times(8, 100), 9_000, 9_000, ...times(5, 100)).stallAfterMs()).toBe(800)
  expect(paceOf(...times(15, 100), ...times(8, 300)).stallAfterMs()).toBe(2_400)
})

test('tokens that come together are one arrival: a model that makes four at a time has the pace of the fours', () => {
  const pace = paceOf(...Array.from({ length: 8 }, () => [400, 0, 1, 1]).flat())
  expect(pace.stallAfterMs()).toBeGreaterThan(3_100)
})

test('another agent has another pace', () => {
  const pace = paceOf(...times(15, 100))
  pace.restart()
  expect(pace.lastAt).toBeNull()
  expect(pace.stallAfterMs()).toBe(limits.stallUnknownPaceMs)
})
