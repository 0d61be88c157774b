import { expect, test } from 'bun:test'
import { parseSettings } from './settings.ts'

const known = ['relay', 'agents']

test('without a name every benchmark runs', () => {
  expect(parseSettings([], known)).toMatchObject({ benchmarks: known, rounds: null, agents: 1_000 })
})

test('names and figures are taken as they are given', () => {
  expect(parseSettings(['agents', '--agents', '50', '--seed=7', '--no-pin'], known)).toMatchObject({
    benchmarks: ['agents'],
    agents: 50,
    seed: 7,
    pin: false,
  })
})

test.each([
  [['nothing'], 'no benchmark called nothing'],
  [['--rounds', '0'], '--rounds is a whole number from 1'],
  [['--streams', 'many'], '--streams is a whole number'],
  [['--fast'], '--fast'],
])('%p is refused in words', (args, words) => {
  expect(parseSettings(args, known)).toEqual({ problem: expect.stringContaining(words) })
})
