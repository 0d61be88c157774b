import { expect, test } from 'bun:test'
import { displaysWithoutDriver, listPciDisplays } from './pci-displays.ts'
import { sysfsOfFiles } from './sysfs-of-files.ts'
import { parseWindowsReport } from './windows-controllers.ts'

const device = (
  address: string,
  facts: { class: string; vendor: string; device: string; driver?: string },
) => {
  const dir = `/sys/bus/pci/devices/${address}`
  return {
    [`${dir}/class`]: `${facts.class}\n`,
    [`${dir}/vendor`]: `${facts.vendor}\n`,
    [`${dir}/device`]: `${facts.device}\n`,
    [`${dir}/uevent`]: facts.driver === undefined ? 'PCI_CLASS=1\n' : `DRIVER=${facts.driver}\n`,
  }
}

test('cards are listed with and without a driver, under the name of the PCI id database', () => {
  const sysfs = sysfsOfFiles({
    ...device('0000:01:00.0', { class: '0x030000', vendor: '0x10de', device: '0x2684' }),
    ...device('0000:03:00.0', {
      class: '0x120000',
      vendor: '0x1002',
      device: '0x74a1',
      driver: 'amdgpu',
    }),
    '/usr/share/misc/pci.ids': '10de  NVIDIA Corporation\n\t2684  AD102 [GeForce RTX 4090]\n',
  })
  expect(listPciDisplays(sysfs)).toEqual([
    {
      vendor: 'nvidia',
      name: 'AD102 [GeForce RTX 4090]',
      pciBusId: '0000:01:00.0',
      driver: null,
    },
    { vendor: 'amd', name: 'amd card 1002:74a1', pciBusId: '0000:03:00.0', driver: 'amdgpu' },
  ])
})

test('sound chips, NPUs of Intel, and pictures of server boards are no GPUs', () => {
  const sysfs = sysfsOfFiles({
    ...device('0000:01:00.1', { class: '0x040300', vendor: '0x10de', device: '0x22ba' }),
    ...device('0000:00:0b.0', { class: '0x120000', vendor: '0x8086', device: '0x7d1d' }),
    ...device('0000:04:00.0', { class: '0x030000', vendor: '0x1a03', device: '0x2000' }),
  })
  expect(listPciDisplays(sysfs)).toEqual([])
})

test('on Windows a card on the picture-only driver is one without a driver', () => {
  const report = parseWindowsReport(
    JSON.stringify({
      controllers: [
        {
          Name: 'Microsoft Basic Display Adapter',
          PNPDeviceID: 'PCI\\VEN_10DE&DEV_2684&SUBSYS_1\\4',
        },
        { Name: 'Microsoft Basic Display Adapter', PNPDeviceID: 'PCI\\VEN_1234&DEV_1111\\3' },
        { Name: 'NVIDIA GeForce RTX 4090', PNPDeviceID: 'PCI\\VEN_10DE&DEV_2684\\5' },
      ],
    }),
  )
  expect(displaysWithoutDriver(report)).toEqual([
    { vendor: 'nvidia', name: 'nvidia card 10de:2684', pciBusId: null, driver: null },
  ])
})
