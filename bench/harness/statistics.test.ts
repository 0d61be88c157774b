import { expect, test } from 'bun:test'
import { median, quantile, summarise } from './statistics.ts'

test('a quantile lies between its neighbours in proportion, whatever the order of the sample', () => {
  expect(quantile([40, 10, 30, 20], 0.5)).toBe(25)
  expect(quantile([1, 2, 3, 4, 5], 0.99)).toBeCloseTo(4.96)
  expect(median([7])).toBe(7)
})

test('an empty sample is a bug and not a zero', () => {
  expect(() => summarise([])).toThrow('empty')
})
