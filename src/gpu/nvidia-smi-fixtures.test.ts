import { describe, expect, test } from 'bun:test'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import index from './fixtures/nvidia/index.json'
import { unknownDevice, type NvidiaDevice } from './nvidia-device.ts'
import { parseNvidiaSmiCsv } from './nvidia-smi-csv.ts'
import { parseNvidiaSmiTable } from './nvidia-smi-table.ts'
import { parseNvidiaSmiXml } from './nvidia-smi-xml.ts'

/* What nvidia-smi really printed, from driver 390 to 591; index.json beside the files names where each was published. */

const directory = join(import.meta.dir, 'fixtures', 'nvidia')
const fixture = (name: string): string => readFileSync(join(directory, name), 'utf8')
const parsers: Readonly<Record<string, (text: string) => readonly NvidiaDevice[]>> = {
  csv: parseNvidiaSmiCsv,
  xml: parseNvidiaSmiXml,
  table: parseNvidiaSmiTable,
}

/** The index lists what each recording tells, by hand; everything else must be null. */
type Facts = Partial<NvidiaDevice> & { readonly id: string }
const expected = (facts: readonly Facts[]): NvidiaDevice[] =>
  facts.map(known => ({ ...unknownDevice(known.id), ...known }))

describe('the output of nvidia-smi', () => {
  test.each(Object.entries(index))('%s is read exactly', (name, { form, devices }) => {
    expect(parsers[form]!(fixture(name))).toEqual(expected(devices))
  })

  test.each(Object.entries(index))(
    '%s is read the same with Windows line ends',
    (name, { form, devices }) => {
      const text = fixture(name).replaceAll('\n', '\r\n')
      expect(parsers[form]!(text)).toEqual(expected(devices))
    },
  )
})

describe('the fixtures', () => {
  const files = readdirSync(directory).filter(name => name !== 'index.json')

  test('are all listed', () => {
    expect(Object.keys(index).toSorted()).toEqual(files.toSorted())
  })

  test('name where they were published, or call themselves synthetic', () => {
    for (const [name, { source }] of Object.entries(index))
      if (name.startsWith('synthetic-')) expect(source).toBeNull()
      else expect(source).toMatch(/^https:\/\/github\.com\/[^/]+\/[^/]+\/blob\/[0-9a-f]{40}\/.+/)
  })

  test('come from at least 14 recordings of many driver generations', () => {
    const recorded = Object.entries(index).filter(([, { source }]) => source !== null)
    expect(recorded.length).toBeGreaterThanOrEqual(14)
    const generations = new Set(recorded.map(([, { driver }]) => driver.split('.')[0]))
    expect(generations.size).toBeGreaterThanOrEqual(10)
  })
})
