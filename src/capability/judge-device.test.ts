import { expect, test } from 'bun:test'
import type { GpuInventory, Inventory } from '../protocol/gpu.ts'
import { judgeDevice } from './judge-device.ts'

const gpu = (change: Partial<GpuInventory>): GpuInventory => ({
  id: 'GPU-1',
  vendor: 'nvidia',
  kind: 'discrete',
  name: 'NVIDIA H200',
  vramTotalMb: 143_771,
  driverVersion: '570.124.06',
  computeCapability: '9.0',
  pciBusId: null,
  source: 'nvml',
  ...change,
})
const machine = (...gpus: GpuInventory[]): Inventory => ({
  hostname: 'den',
  os: 'linux 6.14',
  arch: 'x64',
  memoryTotalMb: 64_000,
  cpu: { name: 'test', physicalCores: 8, logicalCores: 16, features: ['avx2'] },
  gpus,
})
const judge = (change: Partial<GpuInventory> = {}) => {
  const device = gpu(change)
  return judgeDevice(machine(device), device, 0)
}

test('a card of the table is judged by its figures, one that is too old says why it may not serve', () => {
  expect(judge()).toMatchObject({ eligible: true, reasons: [] })
  expect(judge().score).toBeGreaterThan(50)
  const old = judge({
    name: 'NVIDIA GeForce GTX 1080',
    vramTotalMb: 8192,
    computeCapability: '6.1',
  })
  expect(old.eligible).toBe(false)
  expect(old.reasons.join()).toContain('6.1')
  expect(old.score).toBeLessThan(judge().score)
})

test('a card that nobody knows has a score from what could be read, and no invented figure', () => {
  const unknown = judge({ vendor: 'other', name: 'Frobnicator 9000', computeCapability: null })
  expect(Number.isFinite(unknown.score)).toBe(true)
  expect(unknown.explanation).not.toMatch(/NaN|undefined|null/)
})

test('what was measured replaces the figures of the table, also downwards', () => {
  const measured = {
    decode: { tokensPerS: 100, workPerToken: 4.9e9 },
    prefill: { tokensPerS: 500, workPerToken: 16e9 },
    memoryUsableMb: 120_000,
    engine: 'test',
    atMs: 1,
    reason: null,
  }
  const slow = judge({ measured })
  expect(slow.explanation).toContain('100 tokens/s of an 8B model, measured')
  expect(slow.explanation).toContain('500 tokens/s of an 8B model, measured')
  expect(slow.explanation).toContain('117.2 GB')
  expect(slow.score).toBeLessThan(judge().score)
  const failed = { ...measured, decode: null, prefill: null, memoryUsableMb: null, reason: 'no' }
  expect(judge({ measured: failed })).toEqual(judge())
})

test('a backend that its driver is known to break is not among those of the device', () => {
  const backends: GpuInventory['backends'] = ['cuda', 'vulkan']
  expect(judge({ backends }).backends).toEqual(['cuda', 'vulkan'])
  // Bad only where a model is split over several cards.
  const card = gpu({ backends, driverVersion: '545.23.08' })
  expect(judgeDevice(machine(card, card), card, 0).backends).toEqual(['vulkan'])
  expect(judgeDevice(machine(card), card, 0).backends).toEqual(['cuda', 'vulkan'])
  expect(judge({}).backends).toBeNull()
})
