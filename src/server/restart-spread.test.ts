import { expect, test } from 'bun:test'
import { restartSpread } from './restart-spread.ts'

test('a few agents are back within seconds', () => {
  expect(restartSpread(0)).toEqual({ minMs: 500, maxMs: 5_000 })
  expect(restartSpread(1_000)).toEqual({ minMs: 500, maxMs: 5_000 })
})

test('many come spread over as long as the server takes to let them in, and nobody is sent away for minutes', () => {
  expect(restartSpread(10_000)).toEqual({ minMs: 500, maxMs: 40_500 })
  expect(restartSpread(1_000_000).maxMs).toBe(120_000)
})
