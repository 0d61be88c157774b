import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Compile } from 'typebox/compile'
import { GpuInventorySchema, GpuReadingSchema } from '../protocol/gpu.ts'
import { localMemoryOfI915, localMemoryOfXe, readLocalMemory } from './intel-drm.ts'
import { createIntelProbe } from './intel-probe.ts'
import { intelInventory, intelSamples, powerBetween } from './intel-sysfs.ts'
import { unknownReading } from './probe.ts'
import { sysfsOfFiles } from './sysfs-of-files.ts'

type Files = Record<string, string>
const recorded = (name: string) =>
  readFileSync(join(import.meta.dir, 'fixtures', 'intel', name), 'utf8')
const tree = (name: string): Files => JSON.parse(recorded(name)) as Files
const moved = (files: Files, from: string, to: string): Files =>
  Object.fromEntries(Object.entries(files).map(([path, text]) => [path.replace(from, to), text]))

const integrated = {
  '/sys/class/drm/card0/device/uevent':
    'DRIVER=i915\nPCI_ID=8086:1912\nPCI_SLOT_NAME=0000:00:02.0\n',
  ...tree('sysfs-hd530-i915.json'),
}
const arc = {
  ...tree('uevent-arc-a380-i915.json'),
  '/sys/class/drm/card1/device/drm/renderD129/dev': '226:129\n',
}
const none = () => null

describe('Intel GPUs', () => {
  test('on the processor have no VRAM, and a clock', () => {
    const sysfs = sysfsOfFiles(integrated)
    expect(intelInventory(sysfs, none)).toEqual([
      expect.objectContaining({
        id: 'pci-0000:00:02.0',
        kind: 'integrated',
        vramTotalMb: null,
        memoryUsableMb: null,
        backends: ['vulkan'],
      }),
    ])
    expect(intelSamples(sysfs, none)[0]?.reading.clock_graphics_mhz).toBe(350)
  })

  test('on a card have the memory that the driver of their render node counts', () => {
    const asked: string[] = []
    const [gpu] = intelInventory(sysfsOfFiles(arc), (node, driver) => {
      asked.push(`${node} ${driver}`)
      return { totalBytes: 6_396_313_600, usedBytes: null }
    })
    expect(gpu).toMatchObject({ kind: 'discrete', vramTotalMb: 6100, pciDeviceId: '8086:56a5' })
    expect(asked).toEqual(['/dev/dri/renderD129 i915'])
    expect(intelInventory(sysfsOfFiles(arc), none)[0]?.vramTotalMb).toBeNull()
  })

  test('of an xe card tell the limit of their power', () => {
    const files = {
      '/sys/class/drm/card0/device/uevent':
        'DRIVER=xe\nPCI_ID=8086:E223\nPCI_SLOT_NAME=0000:03:00.0\n',
      ...moved(
        tree('hwmon-arc-b70-xe.json'),
        '/sys/class/hwmon/hwmon7',
        '/sys/class/drm/card0/device/hwmon/hwmon7',
      ),
    }
    expect(intelInventory(sysfsOfFiles(files), none)[0]).toMatchObject({
      powerLimitW: 275,
      driverVersion: null,
    })
    expect(intelSamples(sysfsOfFiles(files), none)[0]?.energyUj).toBeNull()
  })

  test('say why they run slower, in their driver’s words', () => {
    const throttle = '/sys/class/drm/card1/device/tile0/gt0/freq0/throttle'
    const files = {
      ...arc,
      [`${throttle}/status`]: '1\n',
      [`${throttle}/reason_thermal`]: '1\n',
      [`${throttle}/reason_pl1`]: '0\n',
    }
    expect(intelSamples(sysfsOfFiles(files), none)[0]?.reading.throttle_reasons).toEqual([
      'thermal',
    ])
    expect(intelSamples(sysfsOfFiles(arc), none)[0]?.reading.throttle_reasons).toBeNull()
  })

  test('that sleep are not asked for anything', () => {
    const files = { ...arc, '/sys/class/drm/card1/device/power/runtime_status': 'suspended\n' }
    const refuse = () => {
      throw new Error('a sleeping GPU was opened')
    }
    expect(intelInventory(sysfsOfFiles(files), refuse)[0]?.vramTotalMb).toBeNull()
    expect(intelSamples(sysfsOfFiles(files), refuse)[0]?.reading).toEqual(
      unknownReading('pci-0000:0b:00.0'),
    )
  })
})

describe('the probe', () => {
  test('knows the power from the second reading on, and forgets it when the counter starts anew', async () => {
    const energy = (uj: number): Files => ({
      ...arc,
      '/sys/class/drm/card1/device/hwmon/hwmon1/energy1_input': `${uj}\n`,
    })
    let files = energy(1_000_000)
    let now = 0
    const sysfs = {
      read: (path: string) => sysfsOfFiles(files).read(path),
      list: (path: string) => sysfsOfFiles(files).list(path),
    }
    const probe = createIntelProbe(sysfs, { now: () => now }, none)
    await probe.inventory()
    const power = async () => (await probe.readings())[0]?.power_w
    expect(await power()).toBeNull()
    now = 30_000
    files = energy(1_000_000 + 30 * 206_330_000)
    expect(await power()).toBe(206.33)
    now = 60_000
    files = energy(5_000)
    expect(await power()).toBeNull()
  })

  test('calls a GPU that vanished unknown', async () => {
    let files: Files = arc
    const sysfs = {
      read: (path: string) => sysfsOfFiles(files).read(path),
      list: (path: string) => sysfsOfFiles(files).list(path),
    }
    const probe = createIntelProbe(sysfs, { now: () => 0 }, none)
    await probe.inventory()
    files = {}
    expect(await probe.readings()).toEqual([unknownReading('pci-0000:0b:00.0')])
  })
})

describe('the answers of the drivers', () => {
  const regions = (header: number, rows: readonly (readonly [number, bigint, bigint])[]) => {
    const bytes = new Uint8Array(header + rows.length * 88)
    const view = new DataView(bytes.buffer)
    view.setUint32(0, rows.length, true)
    for (const [index, [kind, first, second]] of rows.entries()) {
      const at = header + index * 88
      view.setUint16(at, kind, true)
      view.setBigUint64(at + 8, first, true)
      view.setBigUint64(at + 16, second, true)
    }
    return bytes
  }
  /** The figures of an Arc A750 as its driver counts them. */
  const debug = recorded('vram-mm-arc-a750-xe.txt')
  const size = BigInt(/size: (\d+)/.exec(debug)?.[1] ?? 0)
  const usage = BigInt(/usage: (\d+)/.exec(debug)?.[1] ?? 0)

  test('of xe: main memory is left out, and nothing used means not told', () => {
    const main = [0, 34_000_000_000n, 0n] as const
    expect(localMemoryOfXe(regions(8, [main, [1, size, usage]]))).toEqual({
      totalBytes: 8_522_825_728,
      usedBytes: 32_079_872,
    })
    expect(localMemoryOfXe(regions(8, [main, [1, size, 0n]]))?.usedBytes).toBeNull()
    expect(localMemoryOfXe(regions(8, [main]))).toBeNull()
  })

  test('of i915: all free means not told', () => {
    expect(localMemoryOfI915(regions(16, [[1, size, size - usage]]))?.usedBytes).toBe(32_079_872)
    expect(localMemoryOfI915(regions(16, [[1, size, size]]))?.usedBytes).toBeNull()
  })

  test('that are cut short or count too far never read past their end', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), bytes => {
        const sizes = [localMemoryOfXe(bytes), localMemoryOfI915(bytes)]
        return sizes.every(memory => memory === null || memory.totalBytes > 0)
      }),
    )
  })

  test('are not there for a node that is no GPU', () => {
    expect(readLocalMemory('/dev/null', 'xe')).toBeNull()
    expect(readLocalMemory('/dev/null', 'i915')).toBeNull()
    expect(readLocalMemory('/nonexistent', 'xe')).toBeNull()
  })
})

test('power is unknown when a counter is, ran backwards, or hardly ran', () => {
  expect(powerBetween(null, 5, 1000)).toBeNull()
  expect(powerBetween(5, 4, 1000)).toBeNull()
  expect(powerBetween(0, 1_000_000, 10)).toBeNull()
  expect(powerBetween(0, 1_000_000, 1000)).toBe(1)
})

test('whatever the files say, an inventory and readings fit the protocol', () => {
  const inventory = Compile(GpuInventorySchema)
  const reading = Compile(GpuReadingSchema)
  const names = [...Object.keys(integrated), ...Object.keys(arc)]
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom(...names), fc.string()), garbage => {
      const sysfs = sysfsOfFiles({ ...integrated, ...arc, ...garbage })
      return (
        intelInventory(sysfs, none).every(gpu => inventory.Check(gpu)) &&
        intelSamples(sysfs, none).every(sample => reading.Check(sample.reading))
      )
    }),
  )
})
