import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import type { InstanceId } from '../protocol/ids.ts'
import { chooseEvictions, type Evictable } from './evictions.ts'

const idle = (
  instanceId: string,
  lastUsedAt: number,
  mainBytes: number,
  gpuBytes = 0,
): Evictable => ({
  instanceId: instanceId as InstanceId,
  lastUsedAt,
  frees: { mainBytes, gpuBytes },
})
const choose = (candidates: readonly Evictable[], mainBytes: number, gpuBytes = 0) =>
  chooseEvictions(candidates, { mainBytes, gpuBytes })

describe('what goes to make room', () => {
  test('is the least recently used, and no more than needed', () => {
    const models = [idle('new', 3, 10), idle('old', 1, 10), idle('middle', 2, 10)]
    expect(choose(models, 10)).toEqual(['old'] as InstanceId[])
    expect(choose(models, 11)).toEqual(['old', 'middle'] as InstanceId[])
    expect(choose(models, 0)).toEqual([])
  })

  test('leaves small ones alone when a larger one is needed anyway', () => {
    expect(choose([idle('small', 1, 5), idle('large', 2, 20)], 20)).toEqual([
      'large',
    ] as InstanceId[])
  })

  test('is on the GPU when GPU memory is missing', () => {
    const models = [idle('processor', 1, 10), idle('gpu', 2, 1, 10)]
    expect(choose(models, 0, 5)).toEqual(['gpu'] as InstanceId[])
    expect(choose(models, 10, 5)).toEqual(['processor', 'gpu'] as InstanceId[])
  })

  test('is nothing when everything together would not suffice', () => {
    expect(choose([idle('a', 1, 10), idle('b', 2, 10)], 21)).toBeNull()
  })

  test('always suffices, has nothing superfluous, and does not depend on the order of the question', () => {
    const model = fc.record({
      lastUsedAt: fc.integer({ min: 0, max: 5 }),
      mainBytes: fc.integer({ min: 0, max: 20 }),
      gpuBytes: fc.integer({ min: 0, max: 20 }),
    })
    const short = fc.record({
      mainBytes: fc.integer({ min: -5, max: 60 }),
      gpuBytes: fc.integer({ min: -5, max: 60 }),
    })
    const property = fc.property(fc.array(model, { maxLength: 8 }), short, (models, shortBy) => {
      const all = models.map((each, at) =>
        idle(`${at}`, each.lastUsedAt, each.mainBytes, each.gpuBytes),
      )
      const covers = (set: readonly Evictable[]) =>
        set.reduce((sum, { frees }) => sum + frees.mainBytes, 0) >= shortBy.mainBytes &&
        set.reduce((sum, { frees }) => sum + frees.gpuBytes, 0) >= shortBy.gpuBytes
      const chosen = chooseEvictions(all, shortBy)
      expect(chosen !== null).toBe(covers(all))
      if (chosen === null) return
      const going = all.filter(({ instanceId }) => chosen.includes(instanceId))
      expect(covers(going)).toBe(true)
      for (const each of going) expect(covers(going.filter(other => other !== each))).toBe(false)
      expect(chooseEvictions(all.toReversed(), shortBy)).toEqual(chosen)
    })
    fc.assert(property, { numRuns: 500 })
  })
})
