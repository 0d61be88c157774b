import { expect, test } from 'bun:test'
import { judgeDevice } from '../capability/judge-device.ts'
import type { GpuInventory, Inventory } from '../protocol/gpu.ts'
import { formatInventory } from './inventory-text.ts'

const gpu: GpuInventory = {
  id: 'GPU-1',
  vendor: 'nvidia',
  kind: 'discrete',
  name: 'NVIDIA H200',
  vramTotalMb: 143_771,
  driverVersion: '570.124.06',
  computeCapability: '9.0',
  pciBusId: null,
  source: 'nvml',
}
const inventory: Inventory = {
  hostname: 'den',
  os: 'linux 6.14',
  arch: 'x64',
  memoryTotalMb: 64_000,
  cpu: { name: 'test', physicalCores: 8, logicalCores: 16, features: ['avx2'] },
  gpus: [gpu],
}

test('the table for people shows whether a device may serve, and its score', () => {
  const text = formatInventory(inventory, [], [judgeDevice(inventory, gpu, 0)])
  expect(text).toContain('may serve   yes')
  expect(text).toMatch(/score {7}\d+\.\d = /)
})
