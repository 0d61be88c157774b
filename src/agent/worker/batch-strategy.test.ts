import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import type { BatchItem } from 'node-llama-cpp'
import { createBatchStrategy, shareBatch, waitRoundsMax } from './batch-strategy.ts'

const item = (tokens: number): BatchItem => ({
  tokens: Array.from({ length: tokens }, () => 1 as BatchItem['tokens'][number]),
  logits: [],
  evaluationPriority: 5,
})

describe('a batch', () => {
  test('holds every one-token item, and shares the rest among the prompts', () => {
    expect(shareBatch([1, 100, 1, 1000], 202)).toEqual([1, 100, 1, 100])
    expect(shareBatch([1, 20, 1000], 101)).toEqual([1, 20, 80])
    expect(shareBatch([600], 512)).toEqual([512])
  })

  test('is never larger than allowed and never larger than what waits', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 300 }), { maxLength: 12 }),
        fc.integer({ min: 12, max: 512 }),
        (lengths, size) => {
          const shares = shareBatch(lengths, size)
          const total = lengths.reduce((sum, length) => sum + length, 0)
          expect(shares.reduce((sum, share) => sum + share, 0)).toBe(Math.min(size, total))
          shares.forEach((share, i) => {
            expect(share).toBeLessThanOrEqual(lengths[i] ?? 0)
          })
        },
      ),
    )
  })
})

describe('the strategy', () => {
  test('waits for all active sequences, but not for ever', () => {
    const strategy = createBatchStrategy(() => 2)
    const items = [item(1)]
    for (let round = 0; round < waitRoundsMax; round++)
      expect(strategy({ items, size: 512 })).toEqual([])
    expect(strategy({ items, size: 512 })).toEqual([{ item: items[0], processAmount: 1 } as never])
    expect(strategy({ items, size: 512 })).toEqual([])
  })

  test('goes at once when everybody is there', () => {
    const strategy = createBatchStrategy(() => 2)
    expect(
      strategy({ items: [item(1), item(7)], size: 512 }).map(one => one.processAmount),
    ).toEqual([1, 7])
  })
})
