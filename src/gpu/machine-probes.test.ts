import { describe, expect, test } from 'bun:test'
import type { GpuInventory } from '../protocol/gpu.ts'
import { joinProbes, type NamedProbe } from './machine-probes.ts'
import { unknownReading } from './probe.ts'

const gpu = (
  id: string,
  vendor: GpuInventory['vendor'],
  pciBusId: string | null,
): GpuInventory => ({
  id,
  vendor,
  kind: 'discrete',
  name: id,
  vramTotalMb: null,
  driverVersion: null,
  computeCapability: null,
  pciBusId,
  source: 'test',
})

const finding = (name: string, gpus: readonly GpuInventory[]): NamedProbe => ({
  name,
  probe: {
    inventory: () => Promise.resolve({ gpus, problems: [] }),
    readings: () =>
      Promise.resolve(gpus.map(found => ({ ...unknownReading(found.id), temperature_c: 40 }))),
  },
})

const broken: NamedProbe = {
  name: 'broken',
  probe: {
    inventory: () => Promise.reject(new Error('driver is gone')),
    readings: () => Promise.reject(new Error('driver is gone')),
  },
}

describe('several probes', () => {
  test('find a device once, whatever each calls its place; the first one has it', async () => {
    const probe = joinProbes([
      finding('nvml', [gpu('GPU-1', 'nvidia', '00000000:01:00.0')]),
      finding('amd', [gpu('pci-0000:03:00.0', 'amd', '0000:03:00.0')]),
      finding('list', [
        gpu('pci-0000:01:00.0', 'nvidia', '01:00.0'),
        gpu('amd-1', 'amd', null),
        gpu('pci-0000:00:02.0', 'intel', '0000:00:02.0'),
      ]),
    ])
    expect((await probe.inventory()).gpus.map(found => found.id)).toEqual([
      'GPU-1',
      'pci-0000:03:00.0',
      'pci-0000:00:02.0',
    ])
    expect((await probe.readings()).map(reading => [reading.id, reading.temperature_c])).toEqual([
      ['GPU-1', 40],
      ['pci-0000:03:00.0', 40],
      ['pci-0000:00:02.0', 40],
    ])
  })

  test('keep both of two equal cards, and a second vendor beside the first', async () => {
    const probe = joinProbes([
      finding('amd', [gpu('a', 'amd', '0000:03:00.0'), gpu('b', 'amd', '0000:04:00.0')]),
      finding('intel', [gpu('c', 'intel', null)]),
    ])
    expect((await probe.inventory()).gpus).toHaveLength(3)
  })

  test('of which one breaks say so and go on with the others', async () => {
    const probe = joinProbes([broken, finding('intel', [gpu('c', 'intel', '0000:00:02.0')])])
    const { gpus, problems } = await probe.inventory()
    expect(gpus.map(found => found.id)).toEqual(['c'])
    expect(problems).toEqual(['broken failed: Error: driver is gone'])
    expect(await probe.readings()).toHaveLength(1)
  })
})
