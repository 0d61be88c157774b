import { expect, test } from 'bun:test'
import { createRandom, shuffled } from './random.ts'

test('the same seed gives the same order, another seed another one, and nothing gets lost', () => {
  const items = Array.from({ length: 20 }, (_, at) => at)
  const order = shuffled(items, createRandom(7))
  expect(shuffled(items, createRandom(7))).toEqual(order)
  expect(shuffled(items, createRandom(8))).not.toEqual(order)
  expect(order.toSorted((a, b) => a - b)).toEqual(items)
})
