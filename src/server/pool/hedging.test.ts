import { expect, test } from 'bun:test'
import type { AgentId } from '../../protocol/ids.ts'
import { hedgeAfterMinMs, Hedging, historiesMax } from './hedging.ts'

const agent = 'a' as AgentId
const jobBytes = 2_048

/** First tokens that took so long each. */
function taught(...tookMs: readonly number[]): Hedging {
  const hedging = new Hedging()
  for (const afterMs of tookMs) hedging.began(agent, 'tiny', jobBytes, afterMs)
  return hedging
}
const times = (count: number, ms: number) => Array.from({ length: count }, () => ms)

test('late is beyond the agent’s own history: a slow machine is given its time', () => {
  expect(taught(...times(20, 500)).afterMs(agent, 'tiny', jobBytes)).toBeCloseTo(1_000)
  expect(taught(...times(20, 9_000)).afterMs(agent, 'tiny', jobBytes)).toBeCloseTo(18_000)
  expect(taught(...times(20, 5)).afterMs(agent, 'tiny', jobBytes)).toBe(hedgeAfterMinMs)
})

test('a longer prompt may take longer', () => {
  const hedging = taught(...times(20, 500))
  expect(hedging.afterMs(agent, 'tiny', 10 * jobBytes)).toBeCloseTo(5_500)
})

test('without a history nobody is late: a few first tokens are none, and each model has its own', () => {
  expect(taught(...times(7, 500)).afterMs(agent, 'tiny', jobBytes)).toBeNull()
  const hedging = taught(...times(8, 500))
  expect(hedging.afterMs(agent, 'tiny', jobBytes)).not.toBeNull()
  expect(hedging.afterMs(agent, 'huge', jobBytes)).toBeNull()
  expect(hedging.afterMs('b' as AgentId, 'tiny', jobBytes)).toBeNull()
})

test('the history moves with the agent: what is long past is forgotten', () => {
  const hedging = taught(...times(32, 500), ...times(32, 5_000))
  expect(hedging.afterMs(agent, 'tiny', jobBytes)).toBeCloseTo(10_000)
})

test('second agents are a small share of all requests, and a few at once after a quiet time', () => {
  const hedging = new Hedging()
  expect(hedging.take()).toBe(false)
  for (let requests = 0; requests < 40; requests++) hedging.requested()
  expect([hedging.take(), hedging.take(), hedging.take()]).toEqual([true, true, false])
  for (let requests = 0; requests < 10_000; requests++) hedging.requested()
  let taken = 0
  while (hedging.take()) taken++
  expect(taken).toBe(10)
})

test('histories are bounded; the one that was used longest ago goes first', () => {
  const hedging = taught(...times(8, 500))
  for (let other = 0; other < historiesMax - 1; other++)
    hedging.began(`other-${other}` as AgentId, 'tiny', jobBytes, 1)
  expect(hedging.afterMs(agent, 'tiny', jobBytes)).not.toBeNull()
  hedging.began('one more' as AgentId, 'tiny', jobBytes, 1)
  expect(hedging.afterMs(agent, 'tiny', jobBytes)).toBeNull()
})
