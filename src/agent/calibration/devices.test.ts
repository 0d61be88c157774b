import { expect, test } from 'bun:test'
import type { GpuInventory, Inventory } from '../../protocol/gpu.ts'
import { environmentFor, mismatch, targetsOf, withMeasurements } from './devices.ts'

const gpu = (change: Partial<GpuInventory> = {}): GpuInventory => ({
  id: 'GPU-1',
  vendor: 'nvidia',
  kind: 'discrete',
  name: 'NVIDIA GeForce RTX 4090',
  vramTotalMb: 24_564,
  driverVersion: '580.95',
  computeCapability: '8.9',
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
const measured = {
  decode: { tokensPerS: 1, workPerToken: 2 },
  prefill: null,
  memoryUsableMb: 23_000,
  engine: 'test',
  atMs: 1,
  reason: null,
}

test('a fingerprint is another with another driver, engine or core count, and the same with another name of the machine', () => {
  const print = (inventory: Inventory, engine = 'e1') =>
    targetsOf(inventory, engine).map(({ fingerprint }) => fingerprint)
  const usual = machine(gpu())
  expect(print({ ...usual, hostname: 'attic' })).toEqual(print(usual))
  const [cpu, card] = print(usual)
  expect(print(machine(gpu({ driverVersion: '590' })))).toEqual([
    cpu,
    expect.not.stringMatching(card ?? ''),
  ])
  expect(print(usual, 'e2').some(each => print(usual).includes(each))).toBe(false)
  expect(print({ ...usual, cpu: { ...usual.cpu, physicalCores: 4 } })[0]).not.toBe(cpu)
})

test('figures are shown for the device as it was when they were taken, and for no other', () => {
  const usual = machine(gpu())
  const calibrated = targetsOf(usual, 'e').map(target => ({ ...target, attempts: 1, measured }))
  const shown = withMeasurements(usual, 'e', calibrated)
  expect([shown.cpu.measured, shown.gpus[0]?.measured]).toEqual([measured, measured])
  const changed = withMeasurements(machine(gpu({ driverVersion: '590' })), 'e', calibrated)
  expect(changed.gpus[0]).not.toHaveProperty('measured')
  expect(withMeasurements(usual, 'other engine', calibrated)).toEqual(usual)
})

test('one of several NVIDIA cards is shown to the engine alone, unless the owner has chosen', () => {
  expect(environmentFor(gpu(), {})).toEqual({ CUDA_VISIBLE_DEVICES: 'GPU-1' })
  expect(environmentFor(gpu(), { CUDA_VISIBLE_DEVICES: '1' })).toEqual({})
  expect(environmentFor(gpu({ vendor: 'amd' }), {})).toEqual({})
})

test('figures of another device, or of several at once, are nobody’s', () => {
  const integrated = gpu({ id: '2', vendor: 'intel', name: 'Intel UHD Graphics 770' })
  const both = [gpu(), integrated]
  expect(mismatch(gpu(), both, ['NVIDIA GeForce RTX 4090'])).toBeNull()
  expect(mismatch(integrated, both, ['NVIDIA GeForce RTX 4090'])).toContain('does not use this')
  expect(mismatch(gpu(), both, ['A', 'B'])).toContain('2 devices at once')
  expect(mismatch(gpu(), [gpu()], ['whatever the driver calls it'])).toBeNull()
})
