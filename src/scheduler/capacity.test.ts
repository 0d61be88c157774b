import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { gpu, inventoryOf, shapeOf, tiny } from '../../test/support/scheduler-pool.ts'
import type { Inventory } from '../protocol/gpu.ts'
import { limits } from '../protocol/limits.ts'
import { Capacity, type Fit } from './capacity.ts'
import type { ModelFacts } from './event.ts'

/** 33 layers of 1,000 MB. */
const model: ModelFacts = { ...tiny, sizeBytes: 33e9, shape: shapeOf(32, 1_000) }
const fitOf = (inventory: Inventory, facts = model): Fit => new Capacity(inventory).fit(facts)

describe('a model is held', () => {
  test('whole on the best GPU that has room for it and the headroom', () => {
    const cards = [
      gpu({ id: 'small', vramTotalMb: 8_000 }),
      gpu({ id: 'big', vramTotalMb: 80_000 }),
    ]
    expect(fitOf(inventoryOf(cards))).toMatchObject({ kind: 'gpu', device: { gpu: { id: 'big' } } })
  })

  test('in part on a GPU that is too small, with the rest in main memory, and the figures', () => {
    const { kind, reason } = fitOf(inventoryOf([gpu({ vramTotalMb: 16_000 })]))
    expect(kind).toBe('partial')
    expect(reason).toMatch(/^15 of 33 layers on NVIDIA L4, .*16000 MB, needed 3[345]\d\d\d MB/)
  })

  test('by the processor where no GPU may serve, and nowhere when main memory is short too', () => {
    const old = [gpu({ computeCapability: '6.1', vramTotalMb: 80_000 })]
    const { kind, reason } = fitOf(inventoryOf(old))
    expect(kind).toBe('cpu')
    expect(reason).toContain('compute capability 6.1, needed 7.0')
    expect(fitOf(inventoryOf(old, 16_000))).toMatchObject({
      kind: 'none',
      reason: expect.stringMatching(/does not fit main memory: 16000 MB, needed 3[345]\d\d\d MB/),
    })
  })

  test('by its size alone where its shape is not known', () => {
    const unknown = { ...model, shape: null }
    expect(fitOf(inventoryOf([gpu({ vramTotalMb: 40_000 })]), unknown).kind).toBe('gpu')
    expect(fitOf(inventoryOf([gpu({ vramTotalMb: 16_000 })]), unknown).kind).toBe('cpu')
    expect(fitOf(inventoryOf([], 16_000), unknown).kind).toBe('none')
  })

  test('once: what unified memory gives to the GPU is not there for the rest', () => {
    const apple = gpu({
      vendor: 'apple',
      kind: 'unified',
      name: 'Apple M2 Max',
      vramTotalMb: null,
      memoryUsableMb: 48_000,
      computeCapability: null,
    })
    expect(fitOf(inventoryOf([apple], 64_000)).kind).toBe('gpu')
    expect(fitOf(inventoryOf([apple], 33_000)).kind).toBe('none')
  })
})

test('a device that may not serve for what it did is named with the reason', () => {
  const capacity = new Capacity(inventoryOf([gpu({ vramTotalMb: 80_000 })]), {
    'GPU-1': '3 thermal events in 24 h, 3 are too many',
  })
  expect(capacity.mustNotUseGpu).toBe(true)
  expect(capacity.fit(model)).toMatchObject({
    kind: 'cpu',
    reason: expect.stringContaining('3 thermal events in 24 h'),
  })
})

test('asking again costs nothing that grows with the layers', () => {
  let reads = 0
  const shape = shapeOf(64, 100)
  const watched = new Proxy(shape, {
    get: (target, key) => {
      if (key === 'layers' || key === 'weights') reads++
      return Reflect.get(target, key) as unknown
    },
  })
  const facts = { ...model, shape: watched }
  const [first, second] = [24_000, 24_000].map(
    vramTotalMb => new Capacity(inventoryOf([gpu({ vramTotalMb })])),
  )
  first?.fit(facts)
  const once = reads
  expect(once).toBeGreaterThan(0)
  for (let i = 0; i < 1_000; i++) first?.fit(facts)
  expect(reads).toBe(once)
  // The second machine of the same kind uses the figures of the first: it only asks how many layers there are.
  second?.fit(facts)
  expect(reads - once).toBeLessThan(10)
})

test('more memory never makes a fit worse, and what is whole on a GPU has the headroom there', () => {
  const ranks = { gpu: 0, partial: 1, cpu: 2, none: 3 }
  const megabytes = fc.nat(60_000)
  fc.assert(
    fc.property(megabytes, megabytes, megabytes, megabytes, (vram, memory, more, moreMemory) => {
      const facts = { ...model, shape: shapeOf(8, 2_000) }
      const at = (vramTotalMb: number, memoryMb: number): Fit =>
        fitOf(inventoryOf([gpu({ vramTotalMb })], memoryMb), facts)
      const before = at(vram, memory)
      const after = at(vram + more, memory + moreMemory)
      expect(ranks[after.kind]).toBeLessThanOrEqual(ranks[before.kind])
      if (before.kind === 'gpu') expect(vram).toBeGreaterThan(9 * 2_000 + limits.memoryHeadroomMb)
    }),
    { numRuns: 300, seed: 11 },
  )
})
