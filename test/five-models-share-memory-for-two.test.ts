import { expect, test } from 'bun:test'
import { crowdMemory } from './support/crowded-memory.ts'

/*
 * Real workers; the budget is the test's. `bun run test:crowded-memory` does the same with 200 requests.
 */
test('25 random requests to five models where two fit: every answer is right and no model goes while it is used', async () => {
  const crowd = await crowdMemory(25, 7)
  const texts = [...crowd.answers.values()].map(seen => [...seen.keys()])
  expect(texts).toEqual(texts.map(() => [expect.not.stringContaining('failed')]))
  expect(texts.flat().some(text => text.startsWith('A GPU pool joins'))).toBe(true)
  expect(crowd.endedInUse).toBe(0)
  expect(crowd.workersMax).toBe(2)
  expect(crowd.workersLeft).toBe(0)
  expect(crowd.loads).toBeGreaterThan(5)
  expect(crowd.rssGrowthBytes).toBeLessThan(64 * 1024 ** 2)
}, 300_000)
