import { describe, expect, test } from 'bun:test'
import { tokenSeed } from './token-seed.ts'

describe('the seed of a token', () => {
  test('never changes: other agents continue these answers', () => {
    expect([
      tokenSeed(0, 0),
      tokenSeed(0, 1),
      tokenSeed(1, 0),
      tokenSeed(4_294_967_295, 1_048_575),
    ]).toEqual([2462723854, 1020716019, 2237357399, 1366822295])
  })

  test('is a 32-bit number that llama.cpp does not take for "any"', () => {
    for (let index = 0; index < 10_000; index++) {
      const seed = tokenSeed(index % 7, index)
      expect(Number.isInteger(seed) && seed >= 0 && seed < 0xffffffff).toBe(true)
    }
  })

  test('differs between indexes and between requests', () => {
    const seeds = new Set<number>()
    for (let request = 0; request < 100; request++)
      for (let index = 0; index < 100; index++) seeds.add(tokenSeed(request, index))
    // Of 10,000 random 32-bit numbers two are equal about once in a hundred tries.
    expect(seeds.size).toBeGreaterThan(9_995)
  })
})
