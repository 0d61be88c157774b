import { describe, expect, test } from 'bun:test'
import { gpu, inventoryOf } from '../../../test/support/scheduler-pool.ts'
import type { GpuReading } from '../../protocol/gpu.ts'
import { MachineHealth } from './machine-health.ts'

const minuteMs = 60_000
const hourMs = 60 * minuteMs
const start = 1_000 * hourMs
const inventory = inventoryOf([gpu()])

const reading = (change: Partial<GpuReading>): GpuReading => ({
  id: 'GPU-1',
  temperature_c: 60,
  vram_used_mb: null,
  vram_total_mb: null,
  utilization_pct: null,
  power_w: null,
  ...change,
})
const throttled = reading({ temperature_c: 83, throttle_reasons: ['hw_thermal_slowdown'] })
const cool = reading({ throttle_reasons: [] })

class Bench {
  readonly health: MachineHealth
  now = start

  constructor(stored: unknown = null, now = start) {
    this.now = now
    this.health = new MachineHealth(inventory, stored, now)
  }

  /** A heartbeat half a minute later. @returns the types of the news */
  beat(...gpus: GpuReading[]): readonly string[] {
    this.now += minuteMs / 2
    return this.health.heartbeat({ gpus }, this.now).map(({ type }) => type)
  }

  outcomes(ok: number, failed: number): readonly string[] {
    const all = [...Array<boolean>(ok).fill(true), ...Array<boolean>(failed).fill(false)]
    return all.flatMap(one => this.health.outcome(one, this.now).map(({ type }) => type))
  }

  get standing() {
    return this.health.standing(this.now)
  }
}

describe('heat', () => {
  test('throttling slows a machine in the ranking and does not stop it', () => {
    const bench = new Bench()
    bench.beat(throttled)
    expect(bench.standing).toEqual({ stopped: null, slowed: true, unfitGpus: {} })
    bench.beat(cool)
    expect(bench.standing.slowed).toBe(false)
  })

  test('that the agent tells of counts too, also without a reading', () => {
    const bench = new Bench()
    bench.health.heartbeat({ gpus: [], reason: 'thermal' }, bench.now)
    expect(bench.standing).toMatchObject({ stopped: null, slowed: true })
  })

  test('above 95 °C there is no new work until it is below 85', () => {
    const bench = new Bench()
    bench.beat(reading({ temperature_c: 96 }))
    expect(bench.standing.stopped).toEqual({
      reason: 'NVIDIA L4 was above 95 °C; new work below 85 °C',
      passing: true,
    })
    bench.beat(reading({ temperature_c: 86 }))
    expect(bench.standing.stopped).not.toBeNull()
    bench.beat(reading({ temperature_c: 84 }))
    expect(bench.standing.stopped).toBeNull()
  })

  test('is one event as long as the episode goes on; the third in a day makes the GPU unfit', () => {
    const bench = new Bench()
    const news = Array.from({ length: 60 }, (_, n) => bench.beat(n % 3 === 2 ? cool : throttled))
    expect(news.flat()).toEqual(['thermal_event'])
    for (const events of [2, 3]) {
      bench.now += 2 * hourMs
      expect(bench.beat(reading({ temperature_c: 97 }))).toEqual(['thermal_event'])
      expect(bench.health.thermalEvents('GPU-1', bench.now)).toBe(events)
    }
    expect(bench.standing.unfitGpus).toEqual({
      'GPU-1': '3 thermal events in 24 h, 3 are too many',
    })
    bench.now += 25 * hourMs
    expect(bench.standing.unfitGpus).toEqual({})
  })

  test('of a device that the machine does not have is nobody’s', () => {
    const bench = new Bench()
    expect(bench.beat({ ...throttled, id: 'GPU-9' })).toEqual([])
    expect(bench.health.record.thermal).toEqual({})
  })
})

describe('failed inferences', () => {
  test('above 5 % stop a machine and are told once, until a day is over', () => {
    const bench = new Bench()
    expect(bench.outcomes(19, 1)).toEqual([])
    expect(bench.standing.stopped).toBeNull()
    expect(bench.outcomes(0, 2)).toEqual(['became_unhealthy'])
    expect(bench.standing.stopped).toEqual({
      reason: 'unhealthy: 3 of 22 inferences failed in 24 h, 13.6 %; 5 % are allowed',
      passing: false,
    })
    bench.now += 25 * hourMs
    expect(bench.beat(cool)).toEqual(['became_healthy'])
    expect(bench.standing.stopped).toBeNull()
  })

  test('a few on a machine that has served little say nothing', () => {
    const bench = new Bench()
    expect(bench.outcomes(3, 2)).toEqual([])
    expect(bench.standing.stopped).toBeNull()
  })

  test('are forgiven by the operator', () => {
    const bench = new Bench()
    bench.outcomes(0, 5)
    expect(bench.health.forgiveErrors(bench.now)).toMatchObject([{ type: 'became_healthy' }])
    expect(bench.standing.stopped).toBeNull()
  })
})

describe('a restart', () => {
  test('forgets neither events nor failures', () => {
    const before = new Bench()
    for (let events = 0; events < 3; events++) {
      before.beat(throttled)
      before.now += hourMs
    }
    before.outcomes(0, 6)
    const stored: unknown = JSON.parse(JSON.stringify(before.health.record))
    const after = new Bench(stored, before.now)
    expect(after.standing).toEqual({ ...before.standing, slowed: false })
    expect(after.standing.stopped?.reason).toContain('6 of 6')
    expect(Object.keys(after.standing.unfitGpus)).toEqual(['GPU-1'])
  })

  test.each([null, 'x', 5, { thermal: 7, errors: { steps: 'x' } }, { thermal: { a: {} } }])(
    'with a damaged record (%p) begins anew',
    stored => {
      expect(new Bench(stored).standing).toEqual({ stopped: null, slowed: false, unfitGpus: {} })
    },
  )
})

test('what is remembered is bounded, whatever a machine sends', () => {
  let now = start
  const health = new MachineHealth(inventory, null, now)
  for (let card = 0; card < 500; card++) {
    const id = `GPU-${card}`
    health.setInventory(inventoryOf([gpu({ id })]))
    health.heartbeat({ gpus: [{ ...throttled, id }] }, (now += minuteMs))
  }
  for (let n = 0; n < 5_000; n++) health.outcome(n % 2 === 0, (now += minuteMs))
  expect(JSON.stringify(health.record).length).toBeLessThan(10_000)
})
