import { describe, expect, test } from 'bun:test'
import type { DeviceMeasured } from '../../protocol/gpu.ts'
import { agentLimits } from '../agent-limits.ts'
import { Calibration, type CalibrationCommand, type CalibrationEvent } from './calibration.ts'

const target = (deviceId: string, fingerprint = 'f1') => ({ deviceId, fingerprint })
const both = [target('processor'), target('GPU-1')]
const figures = (change: Partial<DeviceMeasured> = {}): DeviceMeasured => ({
  decode: { tokensPerS: 100, workPerToken: 1e8 },
  prefill: { tokensPerS: 1_000, workPerToken: 1e8 },
  memoryUsableMb: null,
  engine: 'test',
  atMs: 0,
  reason: null,
  ...change,
})
const none = (reason: string) => figures({ decode: null, prefill: null, reason })

class Bench {
  readonly calibration: Calibration
  now = 1_000_000
  busyCores: number | null = 0
  said: CalibrationCommand[] = []

  constructor(known: ConstructorParameters<typeof Calibration>[0] = [], targets = both) {
    this.calibration = new Calibration(known)
    this.handle({ type: 'devices', targets })
  }

  handle(event: CalibrationEvent): readonly CalibrationCommand[] {
    this.said = [...this.calibration.handle(event, this.now)]
    return this.said
  }

  /** Moves time to the next due moment and ticks. */
  tick(): readonly CalibrationCommand[] {
    const { dueAt } = this.calibration
    if (dueAt === null) throw new Error('nothing is due')
    this.now = Math.max(this.now, dueAt)
    return this.handle({ type: 'tick', busyCores: this.busyCores })
  }

  /** What is being measured since the last event. */
  get measuring() {
    return this.said.find(command => command.type === 'measure')
  }

  ends(type: 'measured' | 'failed', measured = figures()): readonly CalibrationCommand[] {
    return this.handle({ type, run: this.measuring?.run ?? -1, measured })
  }
}

const types = (commands: readonly CalibrationCommand[]) => commands.map(({ type }) => type)

describe('when nobody wants the machine', () => {
  test('every device is measured once, after a while of quiet, one at a time', () => {
    const bench = new Bench()
    expect(bench.calibration.dueAt).toBeNull()
    bench.handle({ type: 'idle' })
    expect(bench.calibration.dueAt).toBe(bench.now + agentLimits.calibrationQuietMs)
    expect(bench.handle({ type: 'tick', busyCores: 0 })).toEqual([])
    expect(types(bench.tick())).toEqual(['remember', 'measure'])
    expect(bench.measuring?.target).toEqual(target('processor'))
    expect(bench.calibration.dueAt).toBeNull()
    expect(types(bench.ends('measured'))).toEqual(['remember', 'log'])
    bench.tick()
    expect(bench.measuring?.target).toEqual(target('GPU-1'))
    bench.ends('measured')
    expect(bench.calibration.dueAt).toBeNull()
    expect(bench.calibration.calibrated.map(({ attempts }) => attempts)).toEqual([1, 1])
  })

  test('what is known is not measured again; another driver, engine or machine is', () => {
    const known = both.map(each => ({ ...each, attempts: 1, measured: figures() }))
    const bench = new Bench(known)
    bench.handle({ type: 'idle' })
    expect(bench.calibration.dueAt).toBeNull()
    bench.handle({ type: 'devices', targets: [target('processor'), target('GPU-1', 'f2')] })
    bench.tick()
    expect(bench.measuring?.target).toEqual(target('GPU-1', 'f2'))
  })

  test('figures from a busier time are taken anew when the machine is calmer, and kept when that fails', () => {
    const busy = { ...target('processor'), attempts: 1, measured: figures({ busyCores: 3 }) }
    const bench = new Bench([busy], [target('processor')])
    bench.handle({ type: 'idle' })
    bench.busyCores = 2.5
    expect(bench.tick()).toEqual([])
    bench.busyCores = 0.5
    expect(types(bench.tick())).toEqual(['remember', 'measure'])
    bench.ends('failed', none('no room'))
    expect(bench.calibration.calibrated[0]?.measured).toEqual(busy.measured)
    bench.tick()
    bench.ends('measured', figures({ busyCores: 0.5 }))
    expect(bench.calibration.dueAt).toBeNull()
  })

  test('memory that others held is looked at again, but not for ever', () => {
    const bench = new Bench([], [target('GPU-1')])
    bench.handle({ type: 'idle' })
    for (let i = 0; i < agentLimits.calibrationAttemptsMax; i++) {
      bench.tick()
      bench.ends('measured', figures({ reason: 'usable memory: others held it' }))
    }
    expect(bench.calibration.dueAt).toBeNull()
  })
})

describe('when somebody wants the machine', () => {
  test('measuring stops at once, does not count, and is taken up after a longer quiet each time', () => {
    const bench = new Bench([], [target('processor')])
    const waits: number[] = []
    for (let i = 0; i < 8; i++) {
      bench.handle({ type: 'idle' })
      waits.push((bench.calibration.dueAt ?? 0) - bench.now)
      bench.tick()
      const run = bench.measuring?.run ?? 0
      expect(bench.handle({ type: 'busy' })).toEqual([{ type: 'stop', run }, { type: 'remember' }])
      expect(bench.calibration.calibrated).toEqual([])
      expect(bench.handle({ type: 'measured', run, measured: figures() })).toEqual([])
    }
    expect(waits.slice(0, 3)).toEqual([15_000, 30_000, 60_000])
    expect(Math.max(...waits)).toBe(agentLimits.calibrationQuietMaxMs)
  })

  test('nothing begins while it is busy', () => {
    const bench = new Bench()
    bench.handle({ type: 'idle' })
    const { dueAt } = bench.calibration
    bench.handle({ type: 'busy' })
    bench.now = dueAt ?? 0
    expect(bench.handle({ type: 'tick', busyCores: 0 })).toEqual([])
  })

  test('a device that is lost while it is measured is let go; the end of the agent lets go too', () => {
    const lost = new Bench()
    lost.handle({ type: 'idle' })
    lost.tick()
    expect(types(lost.handle({ type: 'devices', targets: [target('GPU-1')] }))).toContain('stop')
    const ended = new Bench()
    ended.handle({ type: 'idle' })
    ended.tick()
    expect(types(ended.handle({ type: 'stop' }))).toContain('stop')
    expect(ended.calibration.calibrated).toEqual([])
    expect(ended.handle({ type: 'idle' })).toEqual([])
  })
})

test('a device that cannot be measured is tried twice more, later and later, until something changes', () => {
  const bench = new Bench([], [target('GPU-1')])
  bench.handle({ type: 'idle' })
  const waits: number[] = []
  for (let i = 0; i < 3; i++) {
    bench.tick()
    bench.ends('failed', none('the worker process ended (SIGSEGV)'))
    waits.push((bench.calibration.dueAt ?? bench.now) - bench.now)
  }
  expect(waits).toEqual([60_000, 600_000, 0])
  expect(bench.calibration.dueAt).toBeNull()
  expect(bench.calibration.calibrated).toMatchObject([
    { attempts: 3, measured: { decode: null, reason: 'the worker process ended (SIGSEGV)' } },
  ])
  // Also in the agent's next run.
  const again = new Bench(bench.calibration.calibrated, [target('GPU-1')])
  again.handle({ type: 'idle' })
  expect(again.calibration.dueAt).toBeNull()
  again.handle({ type: 'devices', targets: [target('GPU-1', 'newer driver')] })
  expect(again.calibration.dueAt).not.toBeNull()
})

test('an attempt is remembered before it begins, so that one that takes the machine down counts', () => {
  const bench = new Bench([], [target('GPU-1')])
  bench.handle({ type: 'idle' })
  bench.tick()
  expect(bench.calibration.calibrated).toEqual([
    { ...target('GPU-1'), attempts: 1, measured: null },
  ])
})
