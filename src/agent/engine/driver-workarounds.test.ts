import { describe, expect, test } from 'bun:test'
import type { GpuInventory, Inventory } from '../../protocol/gpu.ts'
import { processTimers } from '../timers.ts'
import { avoidBackendsVariable, gpuChoice } from '../worker/gpu-choice.ts'
import { driverWorkarounds, withWorkarounds } from './driver-workarounds.ts'
import { examineWorker } from './examine-worker.ts'
import { sourceEngine, sourceWorker, spawnWorker } from './llama-engine.ts'

const gpu = (change: Partial<GpuInventory> = {}): GpuInventory => ({
  id: 'gpu-0',
  vendor: 'nvidia',
  kind: 'discrete',
  name: 'RTX 3090',
  vramTotalMb: 24_576,
  driverVersion: '570.124.06',
  computeCapability: '8.6',
  pciBusId: null,
  backends: ['cuda', 'vulkan'],
  source: 'nvml',
  ...change,
})
const arc = gpu({
  id: 'gpu-1',
  vendor: 'intel',
  name: 'Arc B580',
  driverVersion: '32.0.101.8629',
  computeCapability: null,
  backends: ['vulkan'],
})
const machine = (os: string, ...gpus: GpuInventory[]): Pick<Inventory, 'os' | 'gpus'> => ({
  os,
  gpus,
})
const windows = 'win32 10.0.26100'
const linux = 'linux 6.8.0'
const splitBroken = [
  gpu({ driverVersion: '545.29.06' }),
  gpu({ id: 'gpu-2', driverVersion: '545.29.06' }),
]

describe('what a machine’s drivers need', () => {
  test('is nothing where no driver is on the list', () => {
    for (const clean of [machine(linux), machine(linux, gpu()), machine(linux, arc)])
      expect(driverWorkarounds(clean)).toEqual({ environment: {}, avoidBackends: [], told: [] })
  })

  test('is set for llama.cpp, and told with the device, the trouble and what is done', () => {
    expect(driverWorkarounds(machine(windows, gpu(), arc))).toEqual({
      environment: { GGML_VK_DISABLE_COOPMAT: '1' },
      avoidBackends: [],
      told: [
        expect.stringMatching(
          /^Arc B580: the device is lost.*; workers run with GGML_VK_DISABLE_COOPMAT=1$/,
        ) as string,
      ],
    })
  })

  test('can be a build of llama.cpp to keep away from', () => {
    const { avoidBackends, told } = driverWorkarounds(machine(linux, ...splitBroken))
    expect(avoidBackends).toEqual(['cuda'])
    expect(told[0]).toEndWith('workers run with no cuda')
  })

  test('is nothing for a device that does not serve, since nothing helps it', () => {
    const hopeless = splitBroken.map(each => ({ ...each, backends: ['cuda' as const] }))
    expect(driverWorkarounds(machine(linux, ...hopeless)).avoidBackends).toEqual([])
  })
})

test('a worker is started with it', async () => {
  const workarounds = driverWorkarounds(machine(windows, arc))
  const worker = spawnWorker({
    ...withWorkarounds(sourceEngine, { ...workarounds, avoidBackends: ['cuda', 'vulkan'] }),
    command: [process.execPath, '-e', 'console.log(JSON.stringify(process.env))'],
  })
  if (typeof worker === 'string') throw new Error(worker)
  const environment = JSON.parse(await worker.stdout.text()) as Record<string, string>
  expect(environment).toMatchObject({
    GGML_VK_DISABLE_COOPMAT: '1',
    GGML_NO_BACKTRACE: '1',
    [avoidBackendsVariable]: 'cuda,vulkan',
  })
  await worker.exited
})

test('a worker leaves out the builds that it is to keep away from', () => {
  expect(gpuChoice({})).toEqual({ type: 'auto', exclude: [] })
  const environment = { [avoidBackendsVariable]: 'rocm,vulkan' }
  expect(gpuChoice(environment)).toEqual({ type: 'auto', exclude: ['vulkan'] })
})

test('the real engine takes that: without its GPU builds it computes on the processor', async () => {
  const workarounds = {
    environment: {},
    avoidBackends: ['cuda', 'vulkan', 'metal'],
    told: [],
  } as const
  const program = withWorkarounds(sourceWorker, workarounds)
  expect(await examineWorker(program, null, processTimers, 60_000)).toMatchObject({
    type: 'report',
    report: { backend: 'cpu' },
  })
}, 60_000)
