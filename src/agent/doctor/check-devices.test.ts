import { expect, test } from 'bun:test'
import type { PciDisplay } from '../../gpu/pci-displays.ts'
import { checkDevices, type DevicesFacts } from './check-devices.ts'

const card = (change: Partial<PciDisplay> = {}): PciDisplay => ({
  vendor: 'nvidia',
  name: 'AD102 [GeForce RTX 4090]',
  pciBusId: '0000:01:00.0',
  driver: 'nvidia',
  ...change,
})
const answering: DevicesFacts['gpus'][number] = {
  name: 'NVIDIA GeForce RTX 4090',
  vendor: 'nvidia',
  pciBusId: '00000000:01:00.0',
  source: 'nvml',
}
const check = (facts: Partial<DevicesFacts>) =>
  checkDevices({ platform: 'linux', displays: [], gpus: [], problems: [], ...facts })

test('a card that its probe found answers, however the driver writes its address', () => {
  expect(check({ displays: [card()], gpus: [answering] })).toEqual([
    {
      check: 'devices',
      status: 'ok',
      text: 'NVIDIA GeForce RTX 4090 answers through nvml',
      todo: null,
    },
  ])
})

test('a card on the bus that nobody answers for fails with the driver to install', () => {
  expect(check({ displays: [card({ driver: 'nouveau' })] })).toEqual([
    expect.objectContaining({
      status: 'failing',
      text: 'AD102 [GeForce RTX 4090] (0000:01:00.0) is there, but its driver (nouveau) does not answer',
      todo: expect.stringContaining('ubuntu-drivers install'),
    }),
  ])
  expect(check({ displays: [card({ vendor: 'amd', driver: null })] })).toEqual([
    expect.objectContaining({ status: 'failing', todo: expect.stringContaining('amdgpu') }),
  ])
})

test('one of two cards that answers does not vouch for the other', () => {
  const findings = check({
    displays: [card(), card({ pciBusId: '0000:02:00.0' })],
    gpus: [answering],
  })
  expect(findings.map(({ status }) => status)).toEqual(['ok', 'failing'])
  expect(findings[1]?.text).toContain('0000:02:00.0')
})

test("a mention in the system's list is no answer, and is said once", () => {
  const listed = { ...answering, source: 'systeminformation' }
  expect(check({ displays: [card({ driver: null })], gpus: [listed] })).toHaveLength(1)
  const windows = check({
    platform: 'win32',
    displays: [],
    gpus: [{ ...answering, source: 'wmi' }],
  })
  expect(windows).toEqual([
    expect.objectContaining({ status: 'failing', todo: expect.stringContaining('NVIDIA') }),
  ])
})

test("a processor's graphics and a card for a virtual machine are warnings", () => {
  const intel = card({ vendor: 'intel', driver: null })
  expect(check({ displays: [intel] })[0]?.status).toBe('warning')
  const given = check({ displays: [card({ driver: 'vfio-pci' })] })
  expect(given).toEqual([expect.objectContaining({ status: 'warning' })])
})

test('no card is no fault; what the probes said is a warning', () => {
  expect(check({})).toEqual([
    expect.objectContaining({ status: 'ok', text: expect.stringContaining('no GPU') }),
  ])
  expect(check({ displays: null, problems: ['amd-smi is silent'] })).toEqual([
    expect.objectContaining({ status: 'warning', text: 'amd-smi is silent' }),
  ])
})
