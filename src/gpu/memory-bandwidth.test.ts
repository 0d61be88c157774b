import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { parseDmiMemory, type MemoryModule } from './memory-bandwidth-dmi.ts'
import { bandwidthOfModules, estimateMemoryBandwidth } from './memory-bandwidth.ts'

const dimm = (bank: string, slot: string, megaTransfers: number | null = 6000): MemoryModule => ({
  bank,
  slot,
  dataWidthBits: 64,
  megaTransfers,
})

/** A memory device as a firmware lists it, of 34 bytes (SMBIOS 2.7), with its strings. */
const device = (sizeMb: number, speed: number, slot: string, bank: string): number[] => {
  const bytes = new Uint8Array(34)
  const view = new DataView(bytes.buffer)
  bytes[0] = 17
  bytes[1] = 34
  view.setUint16(0x0a, 64, true)
  view.setUint16(0x0c, sizeMb, true)
  bytes[0x10] = 1
  bytes[0x11] = 2
  view.setUint16(0x15, 4800, true)
  view.setUint16(0x20, speed, true)
  const text = [...new TextEncoder().encode(`${slot}\0${bank}\0\0`)]
  return [...bytes, ...text]
}

describe('memory modules', () => {
  test('on two channels give both their width, at the pace of the slowest', () => {
    const modules = [dimm('P0 CHANNEL A', 'DIMM 1'), dimm('P0 CHANNEL B', 'DIMM 1', 5600)]
    expect(bandwidthOfModules(modules, 'dmi')).toEqual({
      value: 89.6,
      method: 'dmi: 2 channels at 5600 MT/s',
    })
  })

  test.each([
    [[dimm('BANK 0', 'ChannelA-DIMM0'), dimm('BANK 2', 'ChannelB-DIMM0')], 2],
    [[dimm('P0 CHANNEL A', 'DIMM 0'), dimm('P0 CHANNEL A', 'DIMM 1')], 1],
    [[dimm('NODE 1', 'DIMM_A1'), dimm('NODE 2', 'DIMM_A1')], 2],
    [[dimm('', 'Controller0-ChannelA'), dimm('', 'Controller0-ChannelB')], 2],
  ])('%# are counted by the channels that they name', (modules, channels) => {
    expect(bandwidthOfModules(modules, 'dmi').value).toBe((channels * 8 * 6000) / 1000)
  })

  test('that name no channel, or no speed, leave the value unknown', () => {
    expect(bandwidthOfModules([dimm('BANK 0', 'Slot 1')], 'dmi').value).toBeNull()
    expect(bandwidthOfModules([dimm('P0 CHANNEL A', '', null)], 'dmi').value).toBeNull()
    expect(bandwidthOfModules([], 'dmi').value).toBeNull()
  })
})

describe('the table of the firmware', () => {
  const table = new Uint8Array([
    ...device(16_384, 5600, 'DIMM 0', 'P0 CHANNEL A'),
    ...device(0, 0, 'DIMM 1', 'P0 CHANNEL A'),
    ...device(16_384, 5600, 'DIMM 0', 'P0 CHANNEL B'),
    127,
    4,
    0,
    0,
    0,
    0,
  ])

  test('lists the modules with their speed now; empty slots are left out', () => {
    expect(parseDmiMemory(table)).toEqual([
      { bank: 'P0 CHANNEL A', slot: 'DIMM 0', dataWidthBits: 64, megaTransfers: 5600 },
      { bank: 'P0 CHANNEL B', slot: 'DIMM 0', dataWidthBits: 64, megaTransfers: 5600 },
    ])
    expect(estimateMemoryBandwidth(() => table).value).toBe(89.6)
  })

  test('that may not be read leaves it to the modules that the system has told, or unknown', () => {
    expect(estimateMemoryBandwidth(() => null)).toEqual({ value: null, method: 'unknown' })
    const told = [dimm('BANK 0', 'Controller0-ChannelA'), dimm('BANK 0', 'Controller1-ChannelB')]
    expect(estimateMemoryBandwidth(() => null, told)).toEqual({
      value: 96,
      method: 'wmi: 2 channels at 6000 MT/s',
    })
  })

  test('of garbage ends, and is never read past its end', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), bytes => Array.isArray(parseDmiMemory(bytes))),
    )
  })
})
