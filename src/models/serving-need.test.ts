import { expect, test } from 'bun:test'
import { shapeOf } from '../../test/support/scheduler-pool.ts'
import { memoryNeed } from './memory-need.ts'
import { batchTokensMax, servingRequest } from './serving-need.ts'

const shape = { ...shapeOf(2, 1), contextTokensTrained: 4_096, vocabulary: 50_000 }
const need = (kind: 'chat' | 'embedding', contextTokens: number, slots: number) => {
  const found = memoryNeed({
    ...servingRequest(shape, { contextTokens, slots, kind }),
    gpuLayers: null,
  })
  if (typeof found === 'string') throw new Error(found)
  return found.cpu.computeBytes + found.cpu.outputBytes
}

test('a chat computes its prompt in pieces, a model for vectors each input whole, on every slot', () => {
  const served = { contextTokens: 2_048, slots: 3 }
  expect(servingRequest(shape, served).batchTokens).toBe(batchTokensMax)
  expect(servingRequest(shape, { ...served, kind: 'embedding' }).batchTokens).toBe(3 * 2_048)
  expect(servingRequest(shape, { ...served, contextTokens: 9_999, kind: 'rerank' })).toMatchObject({
    contextTokensPerSlot: 4_096,
    batchTokens: 3 * 4_096,
  })
})

test('the estimate has the logits that llama.cpp makes beside a vector, as measured', () => {
  // Measured growth of resident memory, llama.cpp v0.5.0: what is computed and kept for whole inputs.
  const measured = [
    [2_048, 1, 812e6],
    [1_024, 2, 798e6],
  ] as const
  for (const [contextTokens, slots, bytes] of measured) {
    const estimate = need('embedding', contextTokens, slots)
    expect(estimate).toBeGreaterThan(bytes)
    expect(estimate).toBeLessThan(1.25 * bytes)
  }
  expect(need('chat', 2_048, 1)).toBeLessThan(200e6)
})

test('a long context on many slots is a need like any other, and not refused for its numbers', () => {
  expect(need('embedding', 4_096, 256)).toBeGreaterThan(2 * 4 * 50_000 * 4_096 * 256)
})
