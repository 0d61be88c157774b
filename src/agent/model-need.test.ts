import { expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { denseModel, weightTypes } from '../models/synthetic-gguf-dense.ts'
import { writeSyntheticGguf } from '../models/synthetic-gguf.ts'
import { planLoad, type GpuMemory } from './model-need.ts'

const demoPath = new URL('../../models/demo/gpupool-demo.gguf', import.meta.url).pathname
const usual = { contextTokens: 1024, slots: 4 }
const mebibyte = 1024 ** 2

test('without a GPU the need is more than the file and grows with slots and context', () => {
  const need = (change: Partial<typeof usual> = {}) =>
    planLoad(demoPath, { ...usual, ...change }, { state: 'none' }).mainBytes ?? 0
  expect(need()).toBeGreaterThan(5_336_512)
  expect(need({ slots: 8 })).toBeGreaterThan(need())
  expect(need({ contextTokens: 512 })).toBeLessThan(need())
  expect(need({ contextTokens: 8192 })).toBe(need())
})

test('a file that is no model, or a GPU that nobody measured, leaves it to the engine', () => {
  const undecided = { gpuLayers: 'auto', mainBytes: null, gpuBytes: 0 } as const
  expect(planLoad(import.meta.path, usual, { state: 'none' })).toEqual(undecided)
  expect(planLoad(demoPath, usual, { state: 'unknown' })).toEqual(undecided)
})

test('as many layers as the measured memory holds lie on the GPU, and none where nothing fits', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'gpupool-plan-'))
  const path = join(folder, 'large.gguf')
  const size = {
    layers: 32,
    embedding: 4096,
    heads: 32,
    kvHeads: 8,
    headSize: 128,
    feedForward: 14_336,
    vocabulary: 2048,
    contextTokens: 8192,
    type: weightTypes.q4_0,
  }
  await writeSyntheticGguf(path, denseModel(size), 'hole')
  const plan = (gigabytes: number, unified = false) => {
    const gpu: GpuMemory = { state: 'known', bytes: gigabytes * 1024 * mebibyte, unified }
    return planLoad(path, usual, gpu)
  }
  expect(plan(24).gpuLayers).toBe(33)
  const half = plan(3)
  expect(half.gpuLayers).toBeGreaterThan(8)
  expect(half.gpuLayers).toBeLessThan(24)
  expect(half.gpuBytes + 512 * mebibyte).toBeLessThanOrEqual(3 * 1024 * mebibyte)
  expect(half.mainBytes ?? 0).toBeGreaterThan(plan(24).mainBytes ?? 0)
  expect(plan(0.5)).toMatchObject({ gpuLayers: null, gpuBytes: 0 })
  // Unified memory is main memory: what lies on the GPU counts there too.
  expect(plan(24, true).mainBytes).toBe((plan(24).mainBytes ?? 0) + plan(24).gpuBytes)
  rmSync(folder, { recursive: true })
})
