import { expect, test } from 'bun:test'
import type { GpuInventory } from '../protocol/gpu.ts'
import { unknownReading } from './probe.ts'
import { combineFindings, createSystemProbe, readingsFor } from './system-probe.ts'

const gpu = (id: string, vendor: GpuInventory['vendor'], source: string): GpuInventory => ({
  id,
  vendor,
  kind: 'discrete',
  name: id,
  vramTotalMb: null,
  driverVersion: null,
  computeCapability: null,
  pciBusId: null,
  source,
})

test('a device that nvidia-smi and the operating system both know is listed once', () => {
  const smi = [gpu('GPU-1', 'nvidia', 'nvidia-smi')]
  const listed = [
    gpu('pci-01:00.0', 'nvidia', 'systeminformation'),
    gpu('pci-00:02.0', 'intel', 'systeminformation'),
  ]
  expect(combineFindings(smi, listed).map(found => found.id)).toEqual(['GPU-1', 'pci-00:02.0'])
})

test('an NVIDIA card without a driver is still listed', () => {
  const listed = [gpu('pci-01:00.0', 'nvidia', 'systeminformation')]
  expect(combineFindings([], listed)).toEqual(listed)
})

test('every known device has a reading; unknown is null', () => {
  const known = [
    gpu('pci-00:02.0', 'intel', 'systeminformation'),
    gpu('GPU-1', 'nvidia', 'nvidia-smi'),
  ]
  const reading = { ...unknownReading('GPU-1'), temperature_c: 50 }
  expect(readingsFor(known, [reading])).toEqual([unknownReading('pci-00:02.0'), reading])
})

test('this machine can be probed, and its readings match its inventory', async () => {
  const probe = createSystemProbe()
  const { gpus } = await probe.inventory()
  const readings = await probe.readings()
  expect(readings.map(reading => reading.id)).toEqual(gpus.map(found => found.id))
})
