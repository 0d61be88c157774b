import { describe, expect, test } from 'bun:test'
import { buildFakeNvml, canBuildFakeNvml } from '../../test/support/fake-nvml.ts'
import type { GpuReading } from '../protocol/gpu.ts'
import { nvmlProcessOptions, NvmlProcess } from './nvml-process.ts'
import { createNvmlProbe, createNvmlSource } from './nvml-probe.ts'

const first = 'GPU-dddddddd-0000-0000-0000-000000000001'
const second = 'GPU-dddddddd-0000-0000-0000-000000000002'

const noReading = (id: string): GpuReading => ({
  id,
  temperature_c: null,
  vram_used_mb: null,
  vram_total_mb: null,
  utilization_pct: null,
  power_w: null,
})

const by = (...facts: readonly string[]) => Object.fromEntries(facts.map(fact => [fact, 'nvml']))

describe.skipIf(!canBuildFakeNvml)('NVML, by a stand-in for its library', () => {
  test('tells everything about two cards', async () => {
    using fake = buildFakeNvml('two_gpus')
    const probe = createNvmlProbe(fake.options)
    const { gpus, problems } = await probe.inventory()
    expect(problems).toEqual([])
    expect(gpus).toEqual([
      {
        id: first,
        vendor: 'nvidia',
        kind: 'discrete',
        name: 'NVIDIA GeForce RTX 4090',
        vramTotalMb: 24564,
        memoryUsableMb: 24164,
        driverVersion: '580.95.05',
        cudaVersion: '13.0',
        computeCapability: '8.9',
        pciBusId: '00000000:01:00.0',
        pciDeviceId: '10de:2684',
        powerLimitW: 450,
        laptop: false,
        migEnabled: false,
        backends: ['cuda', 'vulkan'],
        readBy: by(
          'name',
          'vramTotalMb',
          'memoryUsableMb',
          'driverVersion',
          'cudaVersion',
          'computeCapability',
          'pciBusId',
          'pciDeviceId',
          'powerLimitW',
          'migEnabled',
        ),
        source: 'nvml',
      },
      expect.objectContaining({
        id: second,
        name: 'NVIDIA RTX A6000',
        vramTotalMb: 49140,
        computeCapability: '8.6',
        pciBusId: '00000000:41:00.0',
      }),
    ])
    expect(await probe.readings()).toEqual([
      {
        id: first,
        temperature_c: 41,
        vram_used_mb: 1523,
        vram_total_mb: 24564,
        utilization_pct: 7,
        power_w: 28.43,
        clock_graphics_mhz: 210,
        clock_memory_mhz: 405,
        throttle_reasons: ['gpu_idle'],
      },
      {
        id: second,
        temperature_c: 83,
        vram_used_mb: 30000,
        vram_total_mb: 49140,
        utilization_pct: 99,
        power_w: 299.99,
        clock_graphics_mhz: 1410,
        clock_memory_mhz: 8000,
        throttle_reasons: ['sw_power_cap', 'sw_thermal_slowdown'],
      },
    ])
    await probe.close()
  })

  test('a card lost while the agent runs keeps its id and facts, and comes back', async () => {
    using fake = buildFakeNvml('two_gpus')
    const probe = createNvmlProbe(fake.options)
    const before = await probe.inventory()

    fake.setState('lost')
    const [healthy, gone] = await probe.readings()
    expect(healthy).toMatchObject({ id: first, temperature_c: 41 })
    expect(gone).toEqual(noReading(second))
    expect(probe.problems()).toEqual([
      'GPU 1: NVML says GPU_IS_LOST: the GPU has fallen off the bus; check power cables, riser and temperature, then restart the machine',
      `NVIDIA RTX A6000 (${second}) does not answer`,
    ])
    // Still lost after NVML was started anew: now its handle is refused.
    expect(await probe.readings()).toEqual([healthy!, noReading(second)])
    expect((await probe.inventory()).gpus).toEqual(before.gpus)

    fake.setState('')
    expect((await probe.readings())[1]).toMatchObject({ id: second, temperature_c: 83 })
    expect(probe.problems()).toEqual([])
    await probe.close()
  })

  test('an old driver without most functions still tells the rest', async () => {
    using fake = buildFakeNvml('old_driver')
    const probe = createNvmlProbe(fake.options)
    const { gpus, problems } = await probe.inventory()
    expect(problems).toEqual([])
    expect(gpus).toEqual([
      {
        id: 'GPU-cccccccc-0000-0000-0000-000000000001',
        vendor: 'nvidia',
        kind: 'discrete',
        name: 'GeForce GTX 1080 Ti',
        vramTotalMb: 11178,
        memoryUsableMb: 11178,
        driverVersion: '375.66',
        cudaVersion: null,
        computeCapability: null,
        pciBusId: '00000000:0B:00.0',
        pciDeviceId: '10de:1b06',
        powerLimitW: 250,
        laptop: null,
        migEnabled: null,
        backends: ['cuda', 'vulkan'],
        readBy: by(
          'name',
          'vramTotalMb',
          'memoryUsableMb',
          'driverVersion',
          'pciBusId',
          'pciDeviceId',
          'powerLimitW',
        ),
        source: 'nvml',
      },
    ])
    expect(await probe.readings()).toEqual([
      {
        id: 'GPU-cccccccc-0000-0000-0000-000000000001',
        temperature_c: 52,
        vram_used_mb: 410,
        vram_total_mb: 11178,
        utilization_pct: 12,
        power_w: 61.25,
        clock_graphics_mhz: 1480,
        clock_memory_mhz: 5505,
        throttle_reasons: ['gpu_idle'],
      },
    ])
    await probe.close()
  })

  test('a card split by MIG says so, and its memory is not promised to anybody', async () => {
    using fake = buildFakeNvml('mig')
    const probe = createNvmlProbe(fake.options)
    const { gpus, problems } = await probe.inventory()
    expect(gpus[0]).toMatchObject({
      name: 'NVIDIA A100-SXM4-80GB',
      migEnabled: true,
      vramTotalMb: 81920,
      memoryUsableMb: null,
    })
    expect(problems).toEqual([expect.stringContaining('is split into instances (MIG)')])
    expect(await probe.readings()).toMatchObject([
      { utilization_pct: null, temperature_c: 27, throttle_reasons: [] },
    ])
    await probe.close()
  })

  test('a laptop part without a power sensor has no power, not none', async () => {
    using fake = buildFakeNvml('laptop')
    const probe = createNvmlProbe(fake.options)
    const [gpu] = (await probe.inventory()).gpus
    expect(gpu).toMatchObject({ laptop: true, powerLimitW: null, vramTotalMb: 8188 })
    expect(Object.keys(gpu!.readBy!)).not.toContain('powerLimitW')
    expect(await probe.readings()).toMatchObject([
      { power_w: null, temperature_c: 48, throttle_reasons: ['sw_power_cap'] },
    ])
    await probe.close()
  })

  test('a driver that never answers costs one stuck process and no reading, and is asked again when it has ended', async () => {
    using fake = buildFakeNvml('two_gpus')
    const reader = new NvmlProcess(fake.options)
    expect((await reader.look()).type).toBe('devices')

    fake.setState('hang')
    const look = reader.look()
    await fake.hangs()
    fake.passDeadline()
    expect(await look).toEqual({
      type: 'hung',
      reason: 'the driver gave no answer within 5 s',
    })
    expect(reader.pid).toBeUndefined()
    expect(await reader.look()).toMatchObject({ type: 'hung' })

    fake.setState('')
    await reader.free()
    expect((await reader.look()).type).toBe('devices')
    await reader.close()
  })

  test('a library that ends its process takes nobody along, and is asked anew', async () => {
    using fake = buildFakeNvml('two_gpus')
    const probe = createNvmlProbe(fake.options)
    await probe.inventory()
    fake.setState('crash')
    expect(await probe.readings()).toEqual([noReading(first), noReading(second)])
    expect(probe.problems()).toEqual([expect.stringContaining('ended the process that asked it')])
    fake.setState('')
    expect(await probe.readings()).toMatchObject([{ temperature_c: 41 }, { temperature_c: 83 }])
    await probe.close()
  })

  test.each([
    [9, 'DRIVER_NOT_LOADED', 'modprobe nvidia'],
    [18, 'LIB_RM_VERSION_MISMATCH', 'restart the machine'],
    [4, 'NO_PERMISSION', '/dev/nvidia*'],
    [999, 'UNKNOWN', 'no reason'],
    [77, 'CODE_77', 'NVML says CODE_77'],
  ])(
    'NVML that does not start with code %d is a problem that says what to do',
    async (code, name, advice) => {
      using fake = buildFakeNvml('two_gpus')
      fake.setState(`init-${code}`)
      const source = createNvmlSource(fake.options)
      const look = await source.look()
      expect(look).toEqual({ type: 'failed', problem: expect.stringContaining(name) })
      expect(look).toEqual({ type: 'failed', problem: expect.stringContaining(advice) })
      fake.setState('')
      expect(await source.look()).toMatchObject({ type: 'devices', goneCount: 0 })
      await source.close()
    },
  )
})

test('a machine without the library has no devices, no problems and no process left', async () => {
  const reader = new NvmlProcess({
    ...nvmlProcessOptions(),
    command: [...nvmlProcessOptions().command, '/nonexistent/libnvidia-ml.so.1'],
  })
  expect(await reader.look()).toEqual({
    type: 'no_library',
    reasons: [expect.stringContaining('/nonexistent/libnvidia-ml.so.1')],
  })
  await reader.close()
  expect(reader.pid).toBeUndefined()
})

test('a reading process that cannot be started is a failure, not a crash', async () => {
  const source = createNvmlSource({ ...nvmlProcessOptions(), command: ['/nonexistent/bun'] })
  expect(await source.look()).toEqual({
    type: 'failed',
    problem: expect.stringContaining('does not start'),
  })
})
