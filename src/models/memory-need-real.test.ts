import { expect, test } from 'bun:test'
import { demoCase, smallCase } from '../../bench/memory/cases.ts'
import { compareMemory } from '../../bench/memory/compare.ts'

// `bun bench/memory.ts` compares all shapes; these two are small enough for every run.
for (const memoryCase of [demoCase, smallCase])
  test(`the estimate is what llama.cpp takes: ${memoryCase.name}`, async () => {
    const { sides } = await compareMemory(memoryCase, null)
    expect(sides.map(({ side }) => side)).toEqual(['cpu'])
    for (const { estimated, taken, holds } of sides) {
      expect(holds).toBe(true)
      // The allowance is wide for models this small: what is exact must be exact, to the two decimals of the log.
      expect(Math.abs(estimated.weightsBytes - taken.weightsBytes)).toBeLessThan(20_000)
      expect(Math.abs(estimated.kvCacheBytes - taken.kvCacheBytes)).toBeLessThan(20_000)
      expect(Math.abs(estimated.computeBytes - taken.computeBytes)).toBeLessThan(1_000_000)
    }
  })
