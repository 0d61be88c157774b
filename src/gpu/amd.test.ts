import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Compile } from 'typebox/compile'
import { GpuInventorySchema, GpuReadingSchema } from '../protocol/gpu.ts'
import { backendsOf, gfxNameOfKfdVersion, gfxTarget, gfxTargets } from './amd-gfx-targets.ts'
import { parseKfdBank, parseKfdProperties } from './amd-kfd.ts'
import { createAmdProbe } from './amd-probe.ts'
import { amdInventory, amdReadings, nameInAmdgpuIds } from './amd-sysfs.ts'
import gfxData from './data/gfx-targets.json' with { type: 'json' }
import { unknownReading } from './probe.ts'
import { sysfsOfFiles } from './sysfs-of-files.ts'

type Files = Record<string, string>
const recorded = (name: string) =>
  readFileSync(join(import.meta.dir, 'fixtures', 'amd', name), 'utf8')
const tree = (name: string): Files => JSON.parse(recorded(name)) as Files

/** A card as amdgpu lists it, at 03:00.0 unless told otherwise. */
const card = (number: number, facts: Files, uevent: Files = {}): Files => {
  const pairs = {
    DRIVER: 'amdgpu',
    PCI_ID: '1002:744C',
    PCI_SLOT_NAME: '0000:03:00.0',
    ...uevent,
  }
  const lines = Object.entries(pairs).map(([key, value]) => `${key}=${value}\n`)
  const device = `/sys/class/drm/card${number}/device`
  return {
    [`${device}/uevent`]: lines.join(''),
    ...Object.fromEntries(Object.entries(facts).map(([name, text]) => [`${device}/${name}`, text])),
  }
}

const navi31 = card(0, {
  revision: '0xc8\n',
  mem_info_vram_total: '25753026560\n',
  mem_info_vram_used: '1073741824\n',
  mem_info_vram_vendor: 'samsung\n',
  gpu_busy_percent: '37\n',
  'hwmon/hwmon3/temp1_input': '52000\n',
  'hwmon/hwmon3/temp1_label': 'edge\n',
  'hwmon/hwmon3/temp2_input': '61000\n',
  'hwmon/hwmon3/temp2_label': 'junction\n',
  'hwmon/hwmon3/power1_average': '87000000\n',
  'hwmon/hwmon3/power1_cap': '303000000\n',
  'power/runtime_status': 'active\n',
  pp_dpm_sclk: '0: 500Mhz\n1: 2371Mhz *\n2: 2525Mhz\n',
  pp_dpm_mclk: '0: 96Mhz\n1: 1249Mhz *\n',
})

const nobody = async () => ({ type: 'absent' as const })
const noLibrary = () => null

describe('the amdgpu driver', () => {
  test('describes a card with memory of its own', () => {
    const [gpu] = amdInventory(
      sysfsOfFiles({
        ...navi31,
        '/usr/share/libdrm/amdgpu.ids':
          '# List of AMDGPU IDs\n1.0.0\n744C,\tC8,\tAMD Radeon RX 7900 XTX\n',
        '/proc/sys/kernel/osrelease': '6.14.0-37-generic\n',
        '/dev/kfd': '',
        '/sys/class/kfd/kfd/topology/nodes/1/properties':
          'simd_count 192\nsimd_per_cu 2\ngfx_target_version 110000\nlocation_id 768\ndomain 0\n',
      }),
    )
    expect(gpu).toMatchObject({
      id: 'pci-0000:03:00.0',
      kind: 'discrete',
      name: 'AMD Radeon RX 7900 XTX',
      vramTotalMb: 24560,
      memoryUsableMb: 24560,
      gfxTarget: 'gfx1100',
      pciDeviceId: '1002:744c',
      powerLimitW: 303,
      driverVersion: 'kernel 6.14.0-37-generic',
      backends: ['rocm', 'vulkan'],
    })
    expect(Compile(GpuInventorySchema).Check(gpu)).toBe(true)
  })

  test('has the readings of a card; the marked level is the clock', () => {
    const [reading] = amdReadings(sysfsOfFiles(navi31))
    expect(reading).toEqual({
      id: 'pci-0000:03:00.0',
      temperature_c: 52,
      vram_used_mb: 1024,
      vram_total_mb: 24560,
      utilization_pct: 37,
      power_w: 87,
      clock_graphics_mhz: 2371,
      clock_memory_mhz: 1249,
    })
    expect(Compile(GpuReadingSchema).Check(reading)).toBe(true)
  })

  test('counts hertz and millionths of a watt in its sensors', () => {
    const [reading] = amdReadings(
      sysfsOfFiles({ ...card(0, {}), ...tree('sysfs-sensors-freq-power.json') }),
    )
    expect(reading).toMatchObject({
      clock_graphics_mhz: 351.59,
      clock_memory_mhz: 300,
      power_w: 9.103,
      temperature_c: null,
    })
  })

  test('shows an RX 570 with its VRAM, whatever its GTT says', () => {
    const files = { ...card(1, { mem_info_vram_vendor: 'hynix\n' }), ...tree('sysfs-rx570.json') }
    expect(amdInventory(sysfsOfFiles(files))[0]).toMatchObject({
      kind: 'discrete',
      vramTotalMb: 4096,
      memoryUsableMb: 4096,
    })
  })

  test("never calls an APU's carve-out VRAM, whatever the size of its pools", () => {
    const halo = (fixture: string, memoryKb: number) =>
      amdInventory(
        sysfsOfFiles({
          ...card(1, {}, { PCI_ID: '1002:1586', PCI_SLOT_NAME: '0000:c3:00.0' }),
          ...tree(fixture),
          '/proc/meminfo': `MemTotal:       ${memoryKb} kB\n`,
        }),
      )[0]
    expect(halo('sysfs-strix-halo-96gib-gtt.json', 131_000_000)).toMatchObject({
      kind: 'integrated',
      vramTotalMb: null,
      memoryUsableMb: 98_304,
    })
    // The GTT is set to 128 GiB on a machine that has 124.92: no more than there is.
    expect(halo('sysfs-strix-halo-128gib-gtt.json', 130_988_113)?.memoryUsableMb).toBe(127_918)
  })

  test('names a Phoenix by its KFD node, found by its place on the bus', () => {
    const files = {
      ...tree('uevent-phoenix.json'),
      '/sys/class/kfd/kfd/topology/nodes/0/properties': 'cpu_cores_count 16\nsimd_count 0\n',
      '/sys/class/kfd/kfd/topology/nodes/1/properties': recorded('kfd-phoenix-780m.properties'),
      '/dev/kfd': '',
    }
    expect(amdInventory(sysfsOfFiles(files))[0]).toMatchObject({
      id: 'pci-0000:64:00.0',
      gfxTarget: 'gfx1103',
      kind: 'integrated',
      backends: ['vulkan', 'rocm'],
    })
  })

  test('leaves a sleeping GPU alone: only what wakes nothing is read', () => {
    const read: string[] = []
    const files = {
      ...navi31,
      '/sys/class/drm/card0/device/power/runtime_status': 'suspended\n',
    }
    const whole = sysfsOfFiles(files)
    const sysfs = {
      list: whole.list,
      read: (path: string) => {
        read.push(path)
        return whole.read(path)
      },
    }
    expect(amdInventory(sysfs)[0]).toMatchObject({ vramTotalMb: 24560, powerLimitW: null })
    expect(amdReadings(sysfs)).toEqual([
      { ...unknownReading('pci-0000:03:00.0'), vram_total_mb: 24560 },
    ])
    expect(read.filter(path => /hwmon|busy|used|pp_dpm/.test(path))).toEqual([])
  })

  test('of a laptop with two GPUs gives each its own entry', () => {
    const files = {
      ...navi31,
      ...card(1, { revision: '0xc4\n' }, { PCI_ID: '1002:1638', PCI_SLOT_NAME: '0000:08:00.0' }),
      ...Object.fromEntries(
        Object.entries(tree('sysfs-cezanne-5900hs.json')).map(([path, text]) => [
          path.replace('card0', 'card1'),
          text,
        ]),
      ),
    }
    expect(amdInventory(sysfsOfFiles(files)).map(gpu => [gpu.id, gpu.kind])).toEqual([
      ['pci-0000:03:00.0', 'discrete'],
      ['pci-0000:08:00.0', 'integrated'],
    ])
  })

  test('has no Vulkan on cards that the older radeon driver runs', () => {
    const files = card(0, {}, { DRIVER: 'radeon', PCI_ID: '1002:6719' })
    expect(amdInventory(sysfsOfFiles(files))[0]?.backends).toEqual([])
  })
})

describe('the probe', () => {
  test('keeps a GPU that vanishes, with nulls, and reads it again under its new number', async () => {
    let files: Files = navi31
    const sysfs = {
      read: (path: string) => sysfsOfFiles(files).read(path),
      list: (path: string) => sysfsOfFiles(files).list(path),
    }
    const probe = createAmdProbe(sysfs, nobody, noLibrary)
    await probe.inventory()
    expect((await probe.readings())[0]?.temperature_c).toBe(52)
    files = {}
    expect(await probe.readings()).toEqual([unknownReading('pci-0000:03:00.0')])
    files = Object.fromEntries(
      Object.entries(navi31).map(([path, text]) => [path.replace('card0', 'card2'), text]),
    )
    expect((await probe.readings())[0]?.temperature_c).toBe(52)
  })

  test("takes a tool's name, and asks no tool while a GPU sleeps", async () => {
    const asked: string[] = []
    const run = async (argv: readonly [string, ...string[]]) => {
      asked.push(argv[0])
      return argv[0] === 'rocm-smi'
        ? {
            type: 'answer' as const,
            status: 0,
            stdout: recorded('rocm-smi-rx6700xt-rocm6.1.json').replace('0000:07', '0000:03'),
          }
        : { type: 'absent' as const }
    }
    const awake = await createAmdProbe(sysfsOfFiles(navi31), run, noLibrary).inventory()
    expect(awake.gpus[0]).toMatchObject({
      name: 'Navi 22 [Radeon RX 6700/6700 XT / 6800M]',
      gfxTarget: 'gfx1031',
      vramTotalMb: 24560,
    })
    expect(asked).toEqual(['amd-smi', 'rocm-smi'])
    const sleeping = {
      ...navi31,
      '/sys/class/drm/card0/device/power/runtime_status': 'suspended\n',
    }
    await createAmdProbe(sysfsOfFiles(sleeping), run, noLibrary).inventory()
    expect(asked).toHaveLength(2)
  })

  test('fills from the library what the files lack', async () => {
    const probe = createAmdProbe(sysfsOfFiles(card(0, {})), nobody, () => ({
      name: 'rocm_smi',
      read: () => [
        {
          pciBusId: '0000:03:00.0',
          name: null,
          gfxTarget: null,
          vramTotalMb: null,
          vramUsedMb: null,
          temperatureC: 44,
          powerW: 12.5,
          powerLimitW: null,
          utilizationPct: null,
          clockGraphicsMhz: null,
          clockMemoryMhz: null,
          throttleReasons: null,
        },
      ],
    }))
    await probe.inventory()
    expect((await probe.readings())[0]).toMatchObject({
      temperature_c: 44,
      power_w: 12.5,
      utilization_pct: null,
    })
  })
})

describe('KFD', () => {
  test('counts compute units and finds the bus of an Instinct', () => {
    expect(parseKfdProperties(recorded('kfd-mi210.properties'))).toEqual({
      pciBusId: '0000:03:00.0',
      gfxTarget: 'gfx90a',
      computeUnits: 104,
      renderMinor: 130,
    })
    expect(parseKfdBank(recorded('kfd-mi350x-memory-bank.properties'))).toBe(309_220_868_096)
  })

  test.each([
    [110003, 'gfx1103'],
    [90010, 'gfx90a'],
    [90402, 'gfx942'],
    [90006, 'gfx906'],
    [120001, 'gfx1201'],
    [0, null],
    [null, null],
  ])('writes %p as %p', (version, name) => {
    expect(gfxNameOfKfdVersion(version)).toBe(name)
  })
})

describe('the table of gfx targets', () => {
  test('has every target once, each source explained, and an override where one is said to help', () => {
    const sources = Object.keys(gfxData.sources)
    expect(gfxTargets.length).toBeGreaterThanOrEqual(40)
    expect(new Set(gfxTargets.map(target => target.gfx)).size).toBe(gfxTargets.length)
    for (const target of gfxTargets) {
      expect(target.sources.filter(source => !sources.includes(source))).toEqual([])
      expect(target.linux === 'override').toBe(target.hsaOverride !== null)
    }
  })

  test('knows a target with its features, and only Vulkan for one that it does not know', () => {
    expect(gfxTarget('gfx90a:sramecc+:xnack-')?.gfx).toBe('gfx90a')
    expect(backendsOf(gfxTarget('gfx9999'), 'linux', true)).toEqual(['vulkan'])
    expect(backendsOf(gfxTarget('gfx1100'), 'linux', false)).toEqual(['vulkan'])
    expect(backendsOf(gfxTarget('cayman'), 'windows', true)).toEqual([])
  })

  test('claims no ROCm where no source does, and assumes Vulkan there', () => {
    const unsaid = gfxTargets.filter(target => target.linux === null)
    expect(unsaid.map(target => target.gfx)).toContain('gfx1152')
    for (const target of unsaid) expect(backendsOf(target, 'linux', true)).toEqual(['vulkan'])
  })
})

test('the name on the box depends on the revision', () => {
  const ids = '744C,\tC8,\tAMD Radeon RX 7900 XTX\n744C,\tCC,\tAMD Radeon RX 7900 XT\n'
  expect(nameInAmdgpuIds(ids, '744c', 'cc')).toBe('AMD Radeon RX 7900 XT')
  expect(nameInAmdgpuIds(ids, '744c', '00')).toBeNull()
})

test('whatever the files say, an inventory and readings fit the protocol', () => {
  const inventory = Compile(GpuInventorySchema)
  const reading = Compile(GpuReadingSchema)
  const names = Object.keys(navi31)
  fc.assert(
    fc.property(
      fc.dictionary(fc.constantFrom(...names), fc.oneof(fc.string(), fc.constant('N/A\n'))),
      garbage => {
        const sysfs = sysfsOfFiles({ ...navi31, ...garbage })
        return (
          amdInventory(sysfs).every(gpu => inventory.Check(gpu)) &&
          amdReadings(sysfs).every(now => reading.Check(now))
        )
      },
    ),
  )
})

test('a file that says no number leaves its reading unknown', () => {
  const words = fc.string().filter(text => !/^\s*-?\d+(\.\d+)?\s*$/.test(text))
  fc.assert(
    fc.property(words, word => {
      const [now] = amdReadings(
        sysfsOfFiles({
          ...navi31,
          '/sys/class/drm/card0/device/gpu_busy_percent': word,
          '/sys/class/drm/card0/device/mem_info_vram_used': word,
          '/sys/class/drm/card0/device/hwmon/hwmon3/power1_average': word,
        }),
      )
      return now?.utilization_pct === null && now.vram_used_mb === null && now.power_w === null
    }),
  )
})
