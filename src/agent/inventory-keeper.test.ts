import { describe, expect, test } from 'bun:test'
import { pino } from 'pino'
import { buildFakeNvml, canBuildFakeNvml } from '../../test/support/fake-nvml.ts'
import { createNvmlProbe } from '../gpu/nvml-probe.ts'
import { unknownReading, type GpuProbe } from '../gpu/probe.ts'
import type { GpuInventory, GpuReading, Inventory } from '../protocol/gpu.ts'
import { agentLimits } from './agent-limits.ts'
import { InventoryKeeper } from './inventory-keeper.ts'

const machine = (gpus: readonly GpuInventory[]): Inventory => ({
  hostname: 'den',
  os: 'linux',
  arch: 'x64',
  memoryTotalMb: 16_000,
  cpu: { name: 'test', physicalCores: 4, logicalCores: 8, features: [] },
  gpus: [...gpus],
})

/** A keeper whose next sample is taken when the test says so. */
function keeperOf(probe: GpuProbe, gpus: readonly GpuInventory[]) {
  const changes: string[][] = []
  let due: () => void = () => {}
  let sampled: () => void = () => {}
  let now = 0
  const keeper = new InventoryKeeper({
    inventory: machine(gpus),
    probe,
    onReadings: () => {},
    clock: { now: () => now },
    timers: {
      after: (ms, callback) => {
        now += ms
        due = callback
        sampled()
        return () => {}
      },
    },
    log: pino({ level: 'silent' }),
    onChange: inventory => void changes.push(inventory.gpus.map(({ id }) => id)),
  })
  const sample = async (times = 1) => {
    for (let i = 0; i < times; i++) {
      const { promise, resolve } = Promise.withResolvers<void>()
      sampled = resolve
      due()
      await promise
    }
  }
  return { keeper, sample, changes }
}

const gpu = (id: string): GpuInventory => ({
  id,
  vendor: 'amd',
  kind: 'discrete',
  name: `card ${id}`,
  vramTotalMb: 8192,
  driverVersion: null,
  computeCapability: null,
  pciBusId: null,
  source: 'test',
})

/** A probe of two cards that a test can pull out; it forgets what it does not find. */
function pullable() {
  const out = new Set<string>()
  const cards = ['a', 'b']
  let known = cards
  const reading = (id: string): GpuReading => ({
    ...unknownReading(id),
    temperature_c: id === 'b' || out.has(id) ? null : 40,
  })
  const probe: GpuProbe = {
    inventory: async () => {
      known = cards.filter(id => !out.has(id))
      return { gpus: known.map(gpu), problems: [] }
    },
    readings: async () => known.map(reading),
  }
  return { probe, out, gpus: cards.map(gpu) }
}

test('a card that falls silent leaves the inventory after some readings, and comes back when it is found again', async () => {
  const { probe, out, gpus } = pullable()
  const { keeper, sample, changes } = keeperOf(probe, gpus)
  await keeper.start()
  out.add('a')
  await sample(agentLimits.silentReadingsMax - 1)
  expect(changes).toEqual([])
  await sample()
  // "b" has no sensors and never said anything: that is no loss.
  expect(changes).toEqual([['b']])
  expect(keeper.readings.map(({ id }) => id)).toEqual(['b'])
  out.delete('a')
  await sample(1 + agentLimits.lostDeviceLookMs / agentLimits.readingsIntervalMs)
  expect(changes).toEqual([['b'], ['a', 'b']])
  keeper.stop()
})

test('one silent reading is no loss', async () => {
  const { probe, out, gpus } = pullable()
  const { keeper, sample, changes } = keeperOf(probe, gpus)
  await keeper.start()
  for (let i = 0; i < 5; i++) {
    out.add('a')
    await sample(agentLimits.silentReadingsMax - 1)
    out.delete('a')
    await sample()
  }
  expect(changes).toEqual([])
  keeper.stop()
})

describe.skipIf(!canBuildFakeNvml)('with a stand-in for NVML', () => {
  test('a card that falls off the bus leaves the inventory, and is there again when the driver finds it', async () => {
    using fake = buildFakeNvml('two_gpus')
    const probe = createNvmlProbe(fake.options)
    const { gpus } = await probe.inventory()
    const ids = gpus.map(({ id }) => id)
    const { keeper, sample, changes } = keeperOf(probe, gpus)
    await keeper.start()
    fake.setState('lost')
    await sample(agentLimits.silentReadingsMax)
    expect(changes).toEqual([ids.slice(0, 1)])
    fake.setState('')
    await sample()
    expect(changes).toEqual([ids.slice(0, 1), ids])
    keeper.stop()
    await probe.close()
  })
})
