import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Compile } from 'typebox/compile'
import { GpuInventorySchema } from '../protocol/gpu.ts'
import { parseIoreg } from './apple-ioreg.ts'
import { usableUnifiedMb } from './apple-memory.ts'
import { createAppleProbe } from './apple-probe.ts'
import { parseMacGpuCores, parseMacGraphics, parseMacHardware } from './apple-profile.ts'
import { macCaches, macFeatures, macMemory, parseSysctl } from './apple-sysctl.ts'
import { unknownReading } from './probe.ts'

const recorded = (name: string) =>
  readFileSync(join(import.meta.dir, 'fixtures', 'apple', name), 'utf8')

/** The report's labels and the keys that stand for them in its JSON form. */
const keys: Readonly<Record<string, string>> = {
  'Chipset Model': 'sppci_model',
  'Total Number of Cores': 'sppci_cores',
  Vendor: 'spdisplays_vendor',
  'Device ID': 'spdisplays_device-id',
  'VRAM (Total)': 'spdisplays_vram',
  'VRAM (Dynamic, Max)': 'spdisplays_vram_shared',
  Chip: 'chip_type',
  Memory: 'physical_memory',
}

/** The JSON form of a report that was recorded as text. */
const asJson = (section: string, text: string) => {
  const entry: Record<string, string> = {}
  for (const line of text.split('\n')) {
    const [, label = '', value = ''] = /^ {6}([^:]+): (.+)$/.exec(line) ?? []
    const key = keys[label]
    if (key !== undefined) entry[key] = value
  }
  return JSON.stringify({ [section]: [entry] })
}

const memory = { totalMb: 16_384, wiredLimitMb: null }

describe('system_profiler', () => {
  test.each([
    ['M1', recorded('displays-m1-early.json'), 'kHW_AppleM1Item'],
    ['M3', asJson('SPDisplaysDataType', recorded('displays-m3.txt')), 'Apple M3'],
    ['M3 Pro', recorded('displays-m3-pro.json'), 'Apple M3 Pro'],
  ])('of an %s shows one GPU without VRAM', (_, report, name) => {
    expect(parseMacGraphics(report, memory)).toEqual([
      expect.objectContaining({
        name,
        vendor: 'apple',
        kind: 'unified',
        vramTotalMb: null,
        memoryUsableMb: 10_922,
        backends: ['metal'],
      }),
    ])
  })

  test('of an M2 Pro and an M4 tells chip and memory', () => {
    expect(parseMacHardware(asJson('SPHardwareDataType', recorded('hardware-m2-pro.txt')))).toEqual(
      { chip: 'Apple M2 Pro', memoryMb: 16_384 },
    )
    expect(parseMacHardware(asJson('SPHardwareDataType', recorded('hardware-m4.txt')))).toEqual({
      chip: 'Apple M4',
      memoryMb: 16_384,
    })
  })

  test('counts GPU cores', () => {
    const report = asJson('SPDisplaysDataType', recorded('displays-m3.txt'))
    expect(parseMacGpuCores(report)).toBe(10)
    expect(parseMacGpuCores(recorded('displays-m3-pro.json'))).toBeNull()
  })

  test('of a Mac with an Intel processor tells cards from the GPU on the processor', () => {
    const card = asJson('SPDisplaysDataType', recorded('displays-imac-pro-vega64.txt'))
    expect(parseMacGraphics(card, memory)[0]).toMatchObject({
      vendor: 'amd',
      kind: 'discrete',
      vramTotalMb: 16_384,
      pciDeviceId: '1002:6860',
      backends: [],
    })
    const onProcessor = asJson('SPDisplaysDataType', recorded('displays-macbook-uhd630.txt'))
    expect(parseMacGraphics(onProcessor, memory)[0]).toMatchObject({
      vendor: 'intel',
      kind: 'integrated',
      vramTotalMb: null,
      memoryUsableMb: null,
    })
  })
})

describe('the usable share of unified memory', () => {
  test.each([
    [16_384, null, 10_922],
    [24_576, null, 16_384],
    [36_864, null, 24_576],
    [65_536, null, 49_152],
    [131_072, null, 98_304],
    [32_768, 26_000, 26_000],
    [32_768, 99_000, 32_768],
    [32_768, 0, 21_845],
    [null, 26_000, null],
  ])('of %p MB with a limit of %p is %p', (total, limit, usable) => {
    expect(usableUnifiedMb(total, limit)).toBe(usable)
  })

  test('is never all of it, unless its owner said so', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 4_000_000 }), total => {
        return (usableUnifiedMb(total, null) ?? 0) < total
      }),
    )
  })
})

describe('sysctl', () => {
  test('of the M4 family adds the caches of both kinds of cores', () => {
    const sysctl = parseSysctl(recorded('sysctl-m4-pro.txt'))
    expect(macCaches(sysctl)).toEqual({
      l1d: 8 * 131_072 + 4 * 65_536,
      l2: 2 * 16_777_216 + 4_194_304,
      l3: null,
    })
    expect(macMemory(sysctl)).toEqual({ totalMb: 24_576, wiredLimitMb: null })
    expect(macFeatures(sysctl)).toEqual(['dotprod'])
  })

  test('of an M1 Pro has no memory in what was recorded, and says so', () => {
    const sysctl = parseSysctl(recorded('sysctl-m1-pro.txt'))
    expect(macCaches(sysctl).l2).toBe(2 * 12_582_912 + 4_194_304)
    expect(macMemory(sysctl)).toEqual({ totalMb: null, wiredLimitMb: null })
  })

  test('of an M5 tells the instruction sets that matter', () => {
    expect(macFeatures(parseSysctl(recorded('sysctl-m5.txt')))).toEqual(['bf16', 'dotprod', 'i8mm'])
  })
})

describe('ioreg', () => {
  test('of an M1 Pro and an M4 tells utilisation and memory in use', () => {
    expect(parseIoreg(recorded('ioreg-m1-pro.txt'))).toEqual([
      { model: null, cores: null, utilizationPct: 2, inUseBytes: 340_983_808 },
    ])
    expect(parseIoreg(recorded('ioreg-m4.txt'))).toEqual([
      { model: 'Apple M4', cores: 10, utilizationPct: 30, inUseBytes: 356_089_856 },
    ])
  })
})

describe('the probe', () => {
  const answers =
    (byProgram: Readonly<Record<string, string>>) => async (argv: readonly string[]) => {
      const stdout = byProgram[(argv[0] ?? '').split('/').at(-1) ?? '']
      return stdout === undefined
        ? { type: 'absent' as const }
        : { type: 'answer' as const, status: 0, stdout }
    }

  test('joins what three programs tell', async () => {
    const probe = createAppleProbe(
      answers({
        system_profiler: recorded('displays-m3-pro.json'),
        sysctl: `${recorded('sysctl-m4-pro.txt')}iogpu.wired_limit_mb: 20000\n`,
        ioreg: recorded('ioreg-m4.txt'),
      }),
    )
    expect((await probe.inventory()).gpus[0]?.memoryUsableMb).toBe(20_000)
    expect(await probe.readings()).toEqual([
      { ...unknownReading('metal-0'), utilization_pct: 30, vram_used_mb: 340 },
    ])
  })

  test('finds nothing where there is no system_profiler', async () => {
    const probe = createAppleProbe(answers({}))
    expect(await probe.inventory()).toEqual({ gpus: [], problems: [] })
    expect(await probe.readings()).toEqual([])
  })
})

test('any text gives an answer that fits the protocol', () => {
  const schema = Compile(GpuInventorySchema)
  const texts = fc.oneof(
    fc.string(),
    fc.json(),
    fc
      .json()
      .map(json => `{"SPDisplaysDataType":[{"sppci_model":${json},"spdisplays_vram":${json}}]}`),
    fc.string().map(text => `+-o X  <class X>\n "PerformanceStatistics" = {${text}}\n`),
  )
  fc.assert(
    fc.property(texts, text => {
      parseMacHardware(text)
      macCaches(parseSysctl(text))
      return (
        parseMacGraphics(text, memory).every(gpu => schema.Check(gpu)) &&
        parseIoreg(text).every(
          gpu =>
            gpu.utilizationPct === null || (gpu.utilizationPct >= 0 && gpu.utilizationPct <= 100),
        )
      )
    }),
  )
})
