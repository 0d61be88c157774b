import { expect, test } from 'bun:test'
import type { GpuInventory, GpuReading } from '../protocol/gpu.ts'
import { unknownReading } from '../gpu/probe.ts'
import { agentLimits } from './agent-limits.ts'
import { ReadingsSampler } from './readings-sampler.ts'

const gpu: GpuInventory = {
  id: 'GPU-1',
  vendor: 'nvidia',
  kind: 'discrete',
  name: 'GPU',
  vramTotalMb: 8_192,
  driverVersion: null,
  computeCapability: null,
  pciBusId: null,
  source: 'nvidia-smi',
}
const warm: GpuReading = { ...unknownReading('GPU-1'), temperature_c: 50 }

/** A driver that answers when the test says so, and a clock and timer that the test moves. */
function bench(gpus: readonly GpuInventory[]) {
  const questions: ((readings: readonly GpuReading[]) => void)[] = []
  const due: (() => void)[] = []
  const time = { now: 1_000 }
  const probe = {
    inventory: async () => ({ gpus, problems: [] }),
    readings: () => new Promise<readonly GpuReading[]>(resolve => questions.push(resolve)),
  }
  const timers = {
    after: (_: number, callback: () => void) => {
      due.push(callback)
      return () => void due.splice(due.indexOf(callback), 1)
    },
  }
  const heard: (readonly GpuReading[])[] = []
  const clock = { now: () => time.now }
  const sampler = new ReadingsSampler(probe, gpus, clock, timers, async all => {
    heard.push(all)
  })
  return { sampler, questions, due, time, heard }
}

test('a device is unknown until its first reading, and again when its driver stops answering', async () => {
  const { sampler, questions, due, time, heard } = bench([gpu])
  const first = sampler.start()
  expect(sampler.readings).toEqual([unknownReading('GPU-1')])
  questions.shift()?.([warm])
  await first
  expect(sampler.readings).toEqual([warm])
  expect(heard).toEqual([[warm]])
  due.shift()?.()
  expect([questions.length, due.length]).toEqual([1, 0])
  time.now += agentLimits.readingsAgeMaxMs + 1
  expect(sampler.readings).toEqual([unknownReading('GPU-1')])
})

test('nothing is asked after the end, and never on a machine without devices', async () => {
  const { sampler, questions, due } = bench([gpu])
  const first = sampler.start()
  questions.shift()?.([warm])
  await first
  sampler.stop()
  expect(due).toEqual([])
  const none = bench([])
  await none.sampler.start()
  expect([none.questions, none.due]).toEqual([[], []])
})
