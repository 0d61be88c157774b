import { expect, test } from 'bun:test'
import { gpu, inventoryOf } from '../../../test/support/scheduler-pool.ts'
import { registrationNotes } from './registration-notes.ts'

const notesOf = (...change: Parameters<typeof gpu>[0][]) =>
  registrationNotes(inventoryOf(change.map(one => gpu(one))), 0)

test('a driver on the blacklist is told with what can be done about it', () => {
  const cards = ['a', 'b'].map(id => ({
    id,
    driverVersion: '545.23.08',
    backends: ['cuda' as const],
  }))
  const word = expect.stringMatching(/^NVIDIA L4 may not serve: a model split .* newer than 545/)
  expect(notesOf(...cards)).toEqual([word])
})

test('a driver that works with a workaround is told too, and a card that is too old', () => {
  const [note] = notesOf({ driverVersion: '525.147.05', backends: ['cuda', 'vulkan'] })
  expect(note).toMatch(/^NVIDIA L4: CUDA 12 builds/)
  expect(notesOf({ computeCapability: '6.1' })).toEqual([
    'NVIDIA L4 may not serve: compute capability 6.1, needed 7.0',
  ])
})

test('there is nothing to tell of a good machine, and never more than fits an answer', () => {
  expect(notesOf({})).toEqual([])
  expect(registrationNotes(inventoryOf([]), 0)).toEqual([])
  const bad = Array.from({ length: 64 }, (_, n) => ({
    id: `${n}`,
    name: `card ${n} ${'x'.repeat(240)}`,
    computeCapability: '6.1',
  }))
  expect(JSON.stringify(notesOf(...bad)).length).toBeLessThan(16 * 1_100)
})
