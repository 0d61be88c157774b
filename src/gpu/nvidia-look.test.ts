import { describe, expect, test } from 'bun:test'
import { buildFakeNvml, canBuildFakeNvml } from '../../test/support/fake-nvml.ts'
import { laptopByName, throttleReasonsOf, unknownDevice } from './nvidia-device.ts'
import { createProbeOver, type NvidiaLook, type NvidiaSource } from './nvidia-look.ts'
import { createNvidiaProbe } from './nvidia-probe.ts'
import { createNvidiaSmiSource } from './nvidia-smi-probe.ts'
import { createNvmlSource } from './nvml-probe.ts'

/** A source whose answer the test sets, and how often it was asked. */
function sourceOf(first: NvidiaLook): NvidiaSource & { answer: NvidiaLook; asked: number } {
  const source = {
    answer: first,
    asked: 0,
    look: () => {
      source.asked += 1
      return Promise.resolve(source.answer)
    },
    close: () => Promise.resolve(),
  }
  return source
}

const devices = (method: 'nvml' | 'nvidia-smi', ...ids: readonly string[]): NvidiaLook => ({
  type: 'devices',
  method,
  devices: ids.map(id => ({ ...unknownDevice(id), name: `card ${id}`, temperatureC: 40 })),
  goneCount: 0,
  problems: [],
})

describe('a probe over NVML and nvidia-smi', () => {
  test('asks nvidia-smi only when NVML does not answer, and says so', async () => {
    const nvml = sourceOf({ type: 'failed', problem: 'NVIDIA driver: NVML says UNKNOWN' })
    const smi = sourceOf(devices('nvidia-smi', 'a'))
    const probe = createProbeOver([nvml, smi])
    expect(await probe.inventory()).toMatchObject({
      gpus: [{ id: 'a', source: 'nvidia-smi', readBy: { name: 'nvidia-smi' } }],
      problems: ['NVIDIA driver: NVML says UNKNOWN; read by nvidia-smi instead'],
    })
    expect(await probe.readings()).toMatchObject([{ id: 'a', temperature_c: 40 }])
    expect({ nvml: nvml.asked, smi: smi.asked }).toEqual({ nvml: 1, smi: 2 })

    nvml.answer = devices('nvml', 'a')
    expect(await probe.inventory()).toMatchObject({ gpus: [{ source: 'nvml' }], problems: [] })
    await probe.readings()
    expect({ nvml: nvml.asked, smi: smi.asked }).toEqual({ nvml: 3, smi: 2 })
  })

  test('has readings for every device also when nobody answers', async () => {
    const nvml = sourceOf(devices('nvml', 'a', 'b'))
    const probe = createProbeOver([nvml])
    await probe.inventory()
    nvml.answer = { type: 'failed', problem: 'NVIDIA driver: it hangs' }
    expect(await probe.readings()).toMatchObject([
      { id: 'a', temperature_c: null },
      { id: 'b', temperature_c: null },
    ])
    expect(probe.problems()).toEqual(['NVIDIA driver: it hangs'])
    expect((await probe.inventory()).gpus).toHaveLength(2)
  })

  test('forgets a device that was taken out, but not one that is lost', async () => {
    const nvml = sourceOf(devices('nvml', 'a', 'b'))
    const probe = createProbeOver([nvml])
    await probe.inventory()
    nvml.answer = { ...devices('nvml', 'a'), goneCount: 1 } as NvidiaLook
    expect((await probe.inventory()).gpus.map(gpu => gpu.id)).toEqual(['a', 'b'])
    nvml.answer = devices('nvml', 'a')
    expect((await probe.inventory()).gpus.map(gpu => gpu.id)).toEqual(['a'])
  })

  test('asks nobody for readings on a machine without devices', async () => {
    const nvml = sourceOf({ type: 'absent' })
    const probe = createProbeOver([nvml])
    expect(await probe.inventory()).toEqual({ gpus: [], problems: [] })
    expect(await probe.readings()).toEqual([])
    expect(nvml.asked).toBe(1)
  })

  test.skipIf(!canBuildFakeNvml)('both ways agree on every fact that both tell', async () => {
    using fake = buildFakeNvml('two_gpus')
    const csv =
      'uuid, pci.bus_id, pci.device_id, driver_version, memory.total [MiB], memory.used [MiB], utilization.gpu [%], temperature.gpu, power.draw [W], enforced.power.limit [W], clocks.current.graphics [MHz], clocks.current.memory [MHz], mig.mode.current, compute_cap, memory.reserved [MiB], clocks_event_reasons.active, name\n' +
      'GPU-dddddddd-0000-0000-0000-000000000001, 00000000:01:00.0, 0x268410DE, 580.95.05, 24564 MiB, 1523 MiB, 7 %, 41, 28.43 W, 450.00 W, 210 MHz, 405 MHz, [N/A], 8.9, 400 MiB, 0x0000000000000001, NVIDIA GeForce RTX 4090\n' +
      'GPU-dddddddd-0000-0000-0000-000000000002, 00000000:41:00.0, 0x223010DE, 580.95.05, 49140 MiB, 30000 MiB, 99 %, 83, 299.99 W, 300.00 W, 1410 MHz, 8000 MHz, [N/A], 8.6, 500 MiB, 0x0000000000000024, NVIDIA RTX A6000\n'
    const nvml = createNvmlSource(fake.options)
    const byNvml = createProbeOver([nvml])
    const bySmi = createProbeOver([
      createNvidiaSmiSource(() => Promise.resolve({ type: 'answer', text: csv, status: 0 })),
    ])
    const same = ({ gpus }: Awaited<ReturnType<typeof byNvml.inventory>>) =>
      gpus.map(gpu => ({ ...gpu, source: null, readBy: null, cudaVersion: null }))
    expect(same(await byNvml.inventory())).toEqual(same(await bySmi.inventory()))
    expect(await byNvml.readings()).toEqual(await bySmi.readings())
    await byNvml.close()
  })
})

test('this machine is read without a crash, whatever it has', async () => {
  const probe = createNvidiaProbe()
  const { gpus } = await probe.inventory()
  expect(gpus.every(gpu => gpu.vendor === 'nvidia' && gpu.id !== '')).toBe(true)
  expect((await probe.readings()).map(reading => reading.id)).toEqual(gpus.map(gpu => gpu.id))
  await probe.close()
})

test.each([
  ['NVIDIA GeForce RTX 4070 Laptop GPU', true],
  ['NVIDIA GeForce GTX 1650 Ti with Max-Q Design', true],
  ['GeForce MX150', true],
  ['GeForce GTX 960M', true],
  ['Quadro M1000M', true],
  ['NVIDIA RTX A2000 Laptop GPU', true],
  ['NVIDIA GeForce RTX 4090', false],
  ['NVIDIA RTX 6000 Ada Generation', false],
  ['NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition', false],
  ['NVIDIA A100-SXM4-80GB', false],
  ['Tesla T4', false],
  ['NVIDIA H200', false],
  ['GeForce GTX 1060', null],
  ['GeForce RTX 2060', null],
  ['Quadro P2000', null],
  ['NVIDIA GeForce RTX 3070 ...', null],
])('%s is a laptop part: %p', (name, laptop) => {
  expect(laptopByName(name)).toBe(laptop)
})

test('throttle reasons are named, those of newer drivers too', () => {
  expect(throttleReasonsOf(0n)).toEqual([])
  expect(throttleReasonsOf(0x1c8n)).toEqual([
    'hw_slowdown',
    'hw_thermal_slowdown',
    'hw_power_brake_slowdown',
    'display_clocks_setting',
  ])
  expect(throttleReasonsOf(0x204n)).toEqual(['sw_power_cap', 'other_0x200'])
})
