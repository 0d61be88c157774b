import { afterEach, beforeEach, expect, test } from 'bun:test'
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { systemClock, wallClock } from '../../clock.ts'
import type { Inventory } from '../../protocol/gpu.ts'
import { agentLimits } from '../agent-limits.ts'
import { sourceEngine } from '../engine/llama-engine.ts'
import { createStartMeasuring, type Measuring } from '../engine/measuring.ts'
import { processTimers } from '../timers.ts'
import { Calibrator } from './calibrator.ts'

// The real worker and the real engine, on one thread and with a model of 30 MB.

const inventory: Inventory = {
  hostname: 'test',
  os: 'linux',
  arch: 'x64',
  memoryTotalMb: 1_000,
  cpu: { name: 'test', physicalCores: 1, logicalCores: 1, features: [] },
  gpus: [],
}

let dir = ''
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'gpupool-calibrator-'))
})
afterEach(() => rmSync(dir, { recursive: true }))

const start = createStartMeasuring(sourceEngine)

/** A calibrator that need not wait for quiet; `changed` and `started` resolve at the next time. */
function bench(options: { startMeasuring?: typeof start; availableBytes?: number } = {}) {
  let skippedMs = 0
  const events = {
    changed: Promise.withResolvers<void>(),
    started: Promise.withResolvers<Measuring>(),
  }
  const calibrator = new Calibrator(
    {
      dir,
      engineVersion: 'engine under test',
      clock: { now: () => systemClock.now() + skippedMs },
      wallClock,
      timers: {
        after(ms, callback) {
          if (ms > agentLimits.calibrationTimeoutMs.cpu) return () => {}
          if (ms !== agentLimits.calibrationTimeoutMs.cpu) skippedMs += ms
          const isWait = ms !== agentLimits.calibrationTimeoutMs.cpu
          return processTimers.after(isWait ? 0 : ms, callback)
        },
      },
      log: pino({ level: 'silent' }),
      startMeasuring: order => {
        const measuring = (options.startMeasuring ?? start)(order)
        events.started.resolve(measuring)
        return measuring
      },
      availableBytes: () => options.availableBytes ?? 270 * 1024 ** 2,
      modelsLoaded: () => false,
      busyCores: () => 0.25,
      onChange: () => {
        if (calibrator.withFigures(inventory).cpu.measured !== undefined) events.changed.resolve()
      },
    },
    inventory,
  )
  return { calibrator, events }
}

const isAlive = (pid: number | undefined): boolean => {
  try {
    return pid !== undefined && process.kill(pid, 0)
  } catch {
    return false
  }
}

test('an idle machine is measured with a model that is gone afterwards, and the next run of the agent knows', async () => {
  const { calibrator, events } = bench()
  calibrator.activity(true)
  await events.changed.promise
  const { measured } = calibrator.withFigures(inventory).cpu
  expect(measured).toMatchObject({
    threads: 1,
    busyCores: 0.25,
    memoryUsableMb: null,
    reason: null,
    engine: 'engine under test cpu',
  })
  expect(measured?.decode?.tokensPerS).toBeGreaterThan(0)
  expect(measured?.prefill?.tokensPerS).toBeGreaterThan(0)
  await calibrator.stop()
  expect(readdirSync(dir)).toEqual(['calibration.json'])
  expect(bench().calibrator.withFigures(inventory).cpu.measured).toEqual(measured!)
}, 60_000)

test('measuring gives way: the process and its files are gone at once, and nothing is remembered', async () => {
  const { calibrator, events } = bench()
  calibrator.activity(true)
  const { pid } = await events.started.promise
  expect(isAlive(pid)).toBe(true)
  expect(existsSync(join(dir, 'calibration', 'model.gguf'))).toBe(true)
  calibrator.activity(false)
  expect(calibrator.running).toBe(false)
  await calibrator.stop()
  expect(isAlive(pid)).toBe(false)
  expect(readdirSync(dir)).toEqual(['calibration.json'])
  expect(calibrator.withFigures(inventory)).toEqual(inventory)
}, 60_000)

test('an engine that crashes while it measures takes nobody along, and the reason is kept', async () => {
  const { calibrator, events } = bench()
  calibrator.activity(true)
  const { pid } = await events.started.promise
  process.kill(pid ?? 0, 'SIGSEGV')
  await events.changed.promise
  const { measured } = calibrator.withFigures(inventory).cpu
  expect(measured).toMatchObject({ decode: null, prefill: null, threads: null })
  expect(measured?.reason).toContain('SIGSEGV')
  await calibrator.stop()
}, 60_000)

test('a machine without room is not measured, and says so', async () => {
  const { calibrator, events } = bench({ availableBytes: 1e6 })
  calibrator.activity(true)
  await events.changed.promise
  expect(calibrator.withFigures(inventory).cpu.measured?.reason).toContain('too little memory')
  await calibrator.stop()
})

test('an engine that does not start is a reason, too', async () => {
  const startMeasuring = createStartMeasuring({ ...sourceEngine, command: ['/nonexistent/bun'] })
  const { calibrator, events } = bench({ startMeasuring })
  calibrator.activity(true)
  await events.changed.promise
  expect(calibrator.withFigures(inventory).cpu.measured?.reason).toContain('did not start')
  await calibrator.stop()
})

test('what a killed agent left behind is removed', () => {
  const left = join(dir, 'calibration')
  writeFileSync(left, 'a gigabyte')
  bench()
  expect(existsSync(left)).toBe(false)
})
