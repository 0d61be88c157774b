import { expect, test } from 'bun:test'
import { driverFactsOf, judgeDriver } from '../../capability/driver-blacklist.ts'
import type { GpuInventory } from '../../protocol/gpu.ts'
import { checkDriver } from './check-driver.ts'
import { checkServing } from './check-serving.ts'

/** Judged by the real list. */
function check(driverVersion: string | null, change: Partial<GpuInventory> = {}, cards = 1) {
  const gpu: GpuInventory = {
    id: 'GPU-1',
    vendor: 'nvidia',
    kind: 'discrete',
    name: 'RTX 3060',
    vramTotalMb: 12_288,
    driverVersion,
    computeCapability: '8.6',
    pciBusId: null,
    backends: ['cuda', 'vulkan'],
    source: 'nvml',
    ...change,
  }
  const gpus = Array.from({ length: cards }, () => gpu)
  const judgement = judgeDriver(driverFactsOf({ os: 'linux 6.8', gpus }, gpu))
  return checkDriver([{ name: gpu.name, driverVersion, judgement }])
}

test('a driver on no list is well', () => {
  expect(check('570.124.06')).toEqual([
    {
      check: 'driver',
      status: 'ok',
      text: 'RTX 3060: driver 570.124.06 is on no list of bad ones',
      todo: null,
    },
  ])
})

test('a refused driver fails, one with a way around it warns; both say what to do', () => {
  const [refused] = check('545.23.08', { backends: ['cuda'] }, 2)
  const [helped] = check('545.23.08', {}, 2)
  expect(refused).toMatchObject({ status: 'failing', text: expect.stringContaining('545.23.08') })
  expect(helped).toMatchObject({ status: 'warning' })
  for (const finding of [refused, helped]) expect(finding?.todo).toBeTruthy()
})

test('an unreadable version is a warning; without a GPU there is nothing to judge', () => {
  expect(check(null)[0]).toMatchObject({ status: 'warning', todo: expect.any(String) })
  expect(checkDriver([])[0]?.status).toBe('skipped')
})

test('a card that the rules keep out is no fault to repair', () => {
  const device = { name: 'GTX 1080', eligible: false, score: 30, reasons: ['too old'] }
  expect(checkServing([device])).toEqual([
    expect.objectContaining({ status: 'warning', text: 'GTX 1080 may not serve: too old' }),
  ])
  expect(checkServing([{ ...device, eligible: true }])[0]?.status).toBe('ok')
  expect(checkServing([])[0]?.status).toBe('skipped')
})
