import { describe, expect, test } from 'bun:test'
import { statSync } from 'node:fs'
import { architectures, cards, cardSources, type Card } from './card.ts'

const isSourced = (sources: readonly string[]) =>
  sources.length > 0 && sources.every(source => (source.split(':')[0] ?? '') in cardSources)
const sourced = cards.filter(card => card.synthetic !== true)

describe('the table of cards', () => {
  test('has at least 300 parts with a source and a figure, of four vendors', () => {
    const counted = sourced.filter(card => card.bandwidthGBs !== null || card.fp16Tflops !== null)
    expect(counted.length).toBeGreaterThanOrEqual(300)
    const vendors = Map.groupBy(counted, card => card.vendor)
    const fewest = { nvidia: 180, amd: 80, apple: 35, intel: 10 }
    for (const [vendor, least] of Object.entries(fewest) as [Card['vendor'], number][])
      expect([vendor, (vendors.get(vendor) ?? []).length >= least]).toEqual([vendor, true])
  })

  test('names a source that is listed for every part and generation, or calls the part synthetic', () => {
    expect(sourced.filter(card => !isSourced(card.sources)).map(card => card.key)).toEqual([])
    const unsourced = Object.entries(architectures).filter(([, one]) => !isSourced(one.sources))
    expect(unsourced).toEqual([])
    for (const url of Object.values(cardSources)) expect(url).toMatch(/^https?:\/\/\S+\.\S+/)
  })

  test('lists no source that nothing uses', () => {
    const used = new Set(
      [...cards, ...Object.values(architectures)].flatMap(({ sources }) =>
        sources.map(source => source.split(':')[0]),
      ),
    )
    expect(Object.keys(cardSources).filter(id => !used.has(id))).toEqual([])
  })

  test('gives no figure that nothing stands for', () => {
    const bare = cards.filter(card => card.sources.length === 0)
    expect(bare.filter(card => card.synthetic !== true)).toEqual([])
    for (const card of bare)
      expect([card.bandwidthGBs, card.fp16Tflops, card.memoryGb]).toEqual([null, null, []])
  })

  test('tells every two parts of one name apart by laptop, memory, cores or PCI id', () => {
    const seen = new Map<string, string>()
    for (const card of cards)
      for (const name of card.names) {
        const identity = [card.vendor, name, card.laptop, card.memoryGb, card.gpuCores, card.pciIds]
        const text = JSON.stringify(identity)
        expect([card.key, seen.get(text)]).toEqual([card.key, undefined])
        seen.set(text, card.key)
      }
  })

  test('is sorted and smaller than 200 kB', () => {
    const keys = cards.map(card => card.key)
    expect(keys).toEqual([...keys].sort())
    expect(statSync(new URL('data/cards.json', import.meta.url)).size).toBeLessThan(200_000)
  })

  test('holds every figure within what has ever been built', () => {
    const ranges = {
      bandwidthGBs: [15, 9_000],
      fp16Tflops: [0.005, 300],
      busBits: [32, 8192],
      memoryGbps: [1, 35],
      shaders: [128, 30_000],
      boostMhz: [900, 3_400],
    } as const
    for (const [figure, [low, high]] of Object.entries(ranges) as [
      keyof typeof ranges,
      readonly [number, number],
    ][])
      for (const card of cards) {
        const value = card[figure] ?? low
        if (value < low || value > high) throw new Error(`${card.key}: ${figure} is ${value}`)
      }
  })

  test('agrees with physics: bandwidth is bus width times rate', () => {
    const known = cards.filter(card => card.bandwidthGBs && card.busBits && card.memoryGbps)
    expect(known.length).toBeGreaterThanOrEqual(110)
    for (const { key, bandwidthGBs, busBits, memoryGbps } of known) {
      const ratio = bandwidthGBs! / ((busBits! * memoryGbps!) / 8)
      if (Math.abs(ratio - 1) > 0.02) throw new Error(`${key}: ${ratio} of bus times rate`)
    }
  })

  test('agrees with physics: fp16 is two operations per shader and clock, by the one rule', () => {
    const known = cards.filter(
      card => card.fp16Tflops && card.shaders && card.boostMhz && card.architecture.fp16PerFp32,
    )
    expect(known.length).toBeGreaterThanOrEqual(180)
    for (const { key, fp16Tflops, shaders, boostMhz, architecture } of known) {
      const rule = (2 * shaders! * boostMhz! * architecture.fp16PerFp32!) / 1e6
      const ratio = fp16Tflops! / rule
      if (Math.abs(ratio - 1) > 0.03) throw new Error(`${key}: ${ratio} of the rule`)
    }
  })

  test('gives an instruction set to AMD parts alone and every NVIDIA generation its capability', () => {
    const targeted = cards.filter(card => card.gfxTarget !== null)
    expect(targeted.length).toBeGreaterThanOrEqual(80)
    expect(targeted.filter(card => card.vendor !== 'amd')).toEqual([])
    const nvidia = Object.values(architectures).filter(one => one.vendor === 'nvidia')
    expect(nvidia.filter(one => one.computeCapability === null)).toEqual([])
  })
})
