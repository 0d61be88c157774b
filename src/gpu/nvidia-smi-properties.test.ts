import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { NvidiaDevice } from './nvidia-device.ts'
import { fieldsWithout, nvidiaSmiFields, parseNvidiaSmiCsv } from './nvidia-smi-csv.ts'
import { parseNvidiaSmiTable } from './nvidia-smi-table.ts'
import { lostDevicesIn } from './nvidia-smi-text.ts'
import { parseNvidiaSmiXml } from './nvidia-smi-xml.ts'

const fixture = (name: string) =>
  readFileSync(join(import.meta.dir, 'fixtures', 'nvidia', name), 'utf8')

/** How drivers of different ages say that they do not know, and what nobody has seen yet. */
const untold = fc.oneof(
  fc.constantFrom(
    '',
    'N/A',
    'ERR!',
    '[N/A]',
    '[Not Supported]',
    '[Unknown Error]',
    '[Insufficient Permissions]',
    '[GPU requires reset]',
    '[GPU is lost]',
    'Requested functionality has been deprecated',
  ),
  fc.stringMatching(/^[A-Za-z!?][A-Za-z !?-]{0,20}$/),
  fc.stringMatching(/^-\d{1,9}$/),
)

const figures = {
  'memory.total': 'vramTotalMb',
  'memory.reserved': 'vramReservedMb',
  'memory.used': 'vramUsedMb',
  'utilization.gpu': 'utilizationPct',
  'temperature.gpu': 'temperatureC',
  'power.draw': 'powerW',
  'enforced.power.limit': 'powerLimitW',
  'clocks.current.graphics': 'clockGraphicsMhz',
  'clocks.current.memory': 'clockMemoryMhz',
} as const satisfies Readonly<Record<string, keyof NvidiaDevice>>
const columns = Object.keys(figures) as (keyof typeof figures)[]

describe('an unknown value is never reported as a number', () => {
  test('in any column of the query', () => {
    fc.assert(
      fc.property(fc.array(untold, { minLength: 9, maxLength: 9 }), words => {
        const cells = columns.map((_, at) => words[at]!)
        const [device] = parseNvidiaSmiCsv(
          `uuid, ${columns.join(', ')}\nGPU-1, ${cells.join(', ')}\n`,
        )
        for (const column of columns) expect(device?.[figures[column]] ?? null).toBeNull()
      }),
    )
  })

  test('in any figure of the XML document', () => {
    const text = fixture('525-quadro-p2000.xml')
    fc.assert(
      fc.property(untold, word => {
        const [device] = parseNvidiaSmiXml(
          text.replaceAll(/>\d[^<]* (?:MiB|W|C|%|MHz)</g, `>${word}<`),
        )
        for (const column of columns) expect(device![figures[column]]).toBeNull()
      }),
    )
  })

  test('in any figure of the table', () => {
    const text = fixture('580-h200-mig.table.txt')
    fc.assert(
      fc.property(fc.constantFrom('N/A', 'ERR!', 'Not Supported', '--'), word => {
        const [device] = parseNvidiaSmiTable(text.replaceAll(/\d+(?:MiB|W|C|%)/g, word))
        for (const column of columns) expect(device![figures[column]]).toBeNull()
      }),
    )
  })

  test('and a known one is reported as it is', () => {
    fc.assert(
      fc.property(fc.nat(1_000_000), fc.nat(100), (memory, percent) => {
        const [device] = parseNvidiaSmiCsv(
          `uuid, memory.used [MiB], utilization.gpu [%]\nGPU-1, ${memory} MiB, ${percent} %\n`,
        )
        expect(device).toMatchObject({ vramUsedMb: memory, utilizationPct: percent })
      }),
    )
  })
})

describe('any text gives an answer', () => {
  const parsers = [parseNvidiaSmiCsv, parseNvidiaSmiXml, parseNvidiaSmiTable, lostDevicesIn]

  test('when it is noise', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 2_000 }), text => {
        for (const parse of parsers) expect(parse(text)).toBeArray()
      }),
    )
  })

  test.each(['535-a100-mig.xml', '591-rtx-2080-super-windows.csv', '580-h200-mig.table.txt'])(
    'when %s is cut off and has noise in it',
    name => {
      const text = fixture(name)
      fc.assert(
        fc.property(
          fc.nat(text.length),
          fc.nat(text.length),
          fc.string({ unit: 'binary', maxLength: 50 }),
          (cut, at, noise) => {
            const damaged = (text.slice(0, at) + noise + text.slice(at)).slice(0, cut)
            for (const parse of parsers) {
              for (const device of parse(damaged))
                if (typeof device !== 'string')
                  for (const value of Object.values(device))
                    if (typeof value === 'number') expect(value).toBeFinite()
            }
          },
        ),
      )
    },
  )
})

test('asking with fewer and fewer fields always ends', () => {
  fc.assert(
    fc.property(fc.infiniteStream(fc.nat(1_000)), choices => {
      let fields = nvidiaSmiFields
      for (let round = 0; round <= 2 * nvidiaSmiFields.length; round += 1) {
        if (fields.length === 0) return
        const field = fields[choices.next().value! % fields.length]!
        fields = fieldsWithout(`Field "${field}" is not a valid field to query.\n`, fields)!
      }
      throw new Error('it goes on')
    }),
  )
})
