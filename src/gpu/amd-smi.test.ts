import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseRocmSmi } from './amd-rocm-smi.ts'
import { joinAmdSmi, parseAmdSmi } from './amd-smi.ts'

const recorded = (name: string) =>
  readFileSync(join(import.meta.dir, 'fixtures', 'amd', name), 'utf8')

describe('rocm-smi', () => {
  test('of ROCm 6 is read whole', () => {
    expect(parseRocmSmi(recorded('rocm-smi-rx6700xt-rocm6.1.json'))).toEqual([
      {
        pciBusId: '0000:07:00.0',
        name: 'Navi 22 [Radeon RX 6700/6700 XT / 6800M]',
        gfxTarget: 'gfx1031',
        vramTotalMb: 12272,
        vramUsedMb: 1500,
        temperatureC: 45,
        powerW: 6,
        powerLimitW: 211,
        utilizationPct: 0,
        clockGraphicsMhz: 0,
        clockMemoryMhz: 96,
        throttleReasons: null,
      },
    ])
  })

  test('of ROCm 4 has other spellings for the same', () => {
    expect(parseRocmSmi(recorded('rocm-smi-mi50-rocm4.json'))[0]).toMatchObject({
      name: 'Radeon Instinct MI50 32GB',
      pciBusId: '0000:63:00.0',
      vramTotalMb: 32752,
      powerW: 26,
      powerLimitW: 225,
      clockGraphicsMhz: 1725,
      gfxTarget: null,
    })
  })

  test('lists four cards by their own buses', () => {
    const cards = parseRocmSmi(recorded('rocm-smi-4x-mi100-rocm6.0.json'))
    expect(cards.map(card => [card.pciBusId, card.temperatureC, card.powerW])).toEqual([
      ['0000:83:00.0', 53, 36],
      ['0000:a3:00.0', 55, 44],
      ['0000:c3:00.0', 54, 43],
      ['0000:e3:00.0', 51, 39],
    ])
  })

  test('calls the power of an APU by its newer name and its memory unknown', () => {
    expect(parseRocmSmi(recorded('rocm-smi-radeon-780m-rocm6.2.json'))[0]).toMatchObject({
      name: 'Phoenix3',
      powerW: 7.222,
      powerLimitW: null,
      vramTotalMb: null,
      utilizationPct: 19,
    })
  })

  test('tells only what was asked of it', () => {
    expect(parseRocmSmi(recorded('rocm-smi-rx7900xt.json'))[0]).toMatchObject({
      name: 'Radeon RX 7900 XT',
      gfxTarget: 'gfx1100',
      vramTotalMb: 20464,
      temperatureC: null,
      pciBusId: null,
    })
    expect(parseRocmSmi(recorded('rocm-smi-rocm2-fan-temperature-power.json'))[0]).toMatchObject({
      temperatureC: 77,
      powerW: 222,
      vramTotalMb: null,
    })
    const without = parseRocmSmi(recorded('rocm-smi-2x-rx6800-memuse.json'))
    expect(without.map(card => [card.vramTotalMb, card.vramUsedMb])).toEqual([
      [null, null],
      [null, null],
    ])
  })
})

describe('amd-smi', () => {
  test('prints text, which is read by its indentation', () => {
    expect(parseAmdSmi(recorded('amd-smi-static-mi350x.txt'))).toEqual([
      expect.objectContaining({
        name: 'AMD Instinct MI350X',
        gfxTarget: 'gfx950',
        pciBusId: '0000:05:00.0',
        vramTotalMb: null,
      }),
    ])
    expect(parseAmdSmi(recorded('amd-smi-metric.txt'))[0]).toMatchObject({
      utilizationPct: 0,
      powerW: 20,
      clockGraphicsMhz: 14,
      throttleReasons: [],
      temperatureC: null,
    })
  })

  test('prints JSON with values and units', () => {
    expect(parseAmdSmi(recorded('amd-smi-usage-w7700.json'))[0]).toMatchObject({
      utilizationPct: 42,
      powerW: null,
    })
  })

  test('knows nothing on some machines, and neither do we', () => {
    const facts = parseAmdSmi(recorded('amd-smi-metric-all-unknown.json'))
    expect(Object.values(facts[0] ?? { none: 0 }).every(value => value === null)).toBe(true)
  })

  test('since ROCm 7 wraps its list, and a value of another unit is not taken', () => {
    const text = JSON.stringify({
      gpu_data: [
        {
          gpu: 0,
          mem_usage: {
            total_vram: { value: 16368, unit: 'MB' },
            used_vram: { value: 14, unit: 'GB' },
          },
          temperature: { edge: 'N/A', hotspot: { value: 41, unit: 'C' } },
        },
      ],
    })
    expect(parseAmdSmi(text)[0]).toMatchObject({
      vramTotalMb: 16368,
      vramUsedMb: null,
      temperatureC: 41,
    })
  })

  test('names the bus in one answer and the readings in the other', () => {
    const [joined] = joinAmdSmi(
      parseAmdSmi(recorded('amd-smi-static-mi350x.txt')),
      parseAmdSmi(recorded('amd-smi-metric.txt')),
    )
    expect(joined).toMatchObject({ pciBusId: '0000:05:00.0', powerW: 20 })
  })
})

test('any text gives an answer, and no number from words', () => {
  const words = fc.oneof(
    fc.string(),
    fc.json(),
    fc.constantFrom('N/A', 'unknown', 'none', '', '[Not Supported]', 'NaN', 'Infinity', '0x10'),
  )
  fc.assert(
    fc.property(words, fc.string(), (value, noise) => {
      parseRocmSmi(noise)
      parseAmdSmi(noise)
      const card = JSON.stringify({
        card0: {
          'VRAM Total Memory (B)': value,
          'Average Graphics Package Power (W)': value,
          'Temperature (Sensor edge) (C)': value,
          'GPU use (%)': value,
        },
      })
      const [facts] = parseRocmSmi(card)
      const isNumber = /^\s*-?\d+(\.\d+)?\s*$/.test(value)
      return (
        isNumber ||
        (facts?.vramTotalMb === null &&
          facts.powerW === null &&
          facts.temperatureC === null &&
          facts.utilizationPct === null)
      )
    }),
  )
})
