import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { busId, nameInPciIds, normalPciBusId, pciDeviceIdOf, vendorOfPciId } from './pci.ts'

describe('a place on the bus', () => {
  test.each([
    ['00000000:0A:00.0', '0000:0a:00.0'],
    ['0000:0a:00.0', '0000:0a:00.0'],
    ['0a:00.0', '0000:0a:00.0'],
    ['PCI:10:0:0', '0000:0a:00.0'],
    ['PCI:10@1:0:0', '0001:0a:00.0'],
    ['0000000F:01:00.0', '000f:01:00.0'],
    ['', null],
    ['PCIe', null],
    ['PCI:300:0:0', null],
  ])('%p is %p', (text, normal) => {
    expect(normalPciBusId(text)).toBe(normal)
  })

  test('in its one form stays as it is', () => {
    const part = (max: number) => fc.integer({ min: 0, max })
    fc.assert(
      fc.property(part(0xffff), part(255), part(31), part(7), (domain, bus, device, fn) => {
        const id = busId(domain, bus, device, fn)
        return id !== null && normalPciBusId(id) === id
      }),
    )
  })
})

test('ids are compared in one form, and what is no id is null', () => {
  expect(pciDeviceIdOf('0x1002\n', '744C')).toBe('1002:744c')
  expect(pciDeviceIdOf('0x1002', 'unknown')).toBeNull()
  expect(vendorOfPciId('0x8086')).toBe('intel')
  expect(vendorOfPciId('1ae0')).toBe('other')
})

test('a device is named by its own vendor in the PCI database', () => {
  const ids =
    '# comment\n1002  Advanced Micro Devices, Inc. [AMD/ATI]\n\t744c  Navi 31 [Radeon RX 7900 XT/7900 XTX]\n' +
    '\t\t1002 0e3b  RX 7900 XTX\n8086  Intel Corporation\n\t56a5  DG2 [Arc A380]\n'
  expect(nameInPciIds(ids, '8086:56a5')).toBe('DG2 [Arc A380]')
  expect(nameInPciIds(ids, '8086:744c')).toBeNull()
})
