import { describe, expect, test } from 'bun:test'
import {
  agentId,
  jobId,
  leasesOf,
  Pool,
  ready,
  refusalOf,
  tiny,
} from '../../test/support/scheduler-pool.ts'
import { limits } from '../protocol/limits.ts'
import type { SchedulerCommand } from './command.ts'
import { waitingLengthMax } from './fair-queue.ts'

/** A pool whose requests each take the same time; it plays what happens until a moment. */
class Schedule {
  readonly pool = new Pool()
  readonly starts = new Map<string, number>()
  readonly #holdMs: number
  readonly #ends = new Map<string, number>()

  constructor(slots: number, holdMs: number) {
    this.#holdMs = holdMs
    this.pool.up('a', { instances: [ready('i-a', tiny, slots)] })
  }

  /** @returns why it was refused; undefined: it was not */
  request(job: string, tenant: string): ReturnType<typeof refusalOf> {
    const commands = this.pool.request(job, 'tiny', [], { tenant })
    this.#note(commands)
    return refusalOf(commands)
  }

  playUntil(moment: number): void {
    for (;;) {
      const [next] = [...this.#ends].toSorted(([, a], [, b]) => a - b)
      if (next === undefined || next[1] > moment) break
      this.#ends.delete(next[0])
      this.pool.now = next[1]
      this.#note(this.pool.release(next[0]))
    }
    this.pool.now = moment
  }

  #note(commands: readonly SchedulerCommand[]): void {
    for (const command of commands)
      if (command.type === 'lease') {
        this.starts.set(command.jobId, this.pool.now)
        this.#ends.set(command.jobId, this.pool.now + this.#holdMs)
      }
  }
}

describe('a refused request', () => {
  test('gets in when it comes back at the time it was told, and so do those refused with it', () => {
    const schedule = new Schedule(2, 10_000)
    const { pool } = schedule
    for (let i = 0; i < 2 + waitingLengthMax / 2; i++) schedule.request(`g${i}`, 'greedy')
    expect(schedule.request('too early', 'greedy')).not.toHaveProperty('retryAfterMs')
    schedule.playUntil(pool.now + 10_000)
    for (let i = 0; i < 2; i++) expect(schedule.request(`more${i}`, 'greedy')).toBeUndefined()
    schedule.playUntil(pool.now + 3_000)
    const back = Array.from({ length: 6 }, (_, i) => {
      const refusal = schedule.request(`r${i}`, 'greedy')
      expect(refusal?.code).toBe('queue_full')
      return { job: `again${i}`, at: pool.now + (refusal?.retryAfterMs ?? NaN) }
    })
    expect(back.map(({ at }) => at - pool.now)).toEqual([7, 7, 17, 17, 27, 27].map(s => s * 1_000))
    for (const { job, at } of back) {
      schedule.playUntil(at)
      expect(schedule.request(job, 'greedy')).toBeUndefined()
    }
  })

  test('of a tenant that has nothing in a full line gets in after the next start', () => {
    const schedule = new Schedule(1, 10_000)
    const { pool } = schedule
    schedule.request('first', 'x')
    schedule.playUntil(pool.now + 10_000)
    for (let i = 0; i <= waitingLengthMax; i++) schedule.request(`w${i}`, `tenant-${i}`)
    schedule.playUntil(pool.now + 1_000)
    const refusal = schedule.request('modest', 'modest')
    expect(refusal).toMatchObject({ code: 'queue_full', retryAfterMs: 9_000 })
    schedule.playUntil(pool.now + 9_000)
    expect(schedule.request('modest', 'modest')).toBeUndefined()
  })
})

describe('a model that nobody can serve now', () => {
  const retryAfter = (pool: Pool) => refusalOf(pool.request('asked'))?.retryAfterMs

  test('is asked for again when an agent that could not load it may be asked', () => {
    const pool = new Pool()
    pool.up('a')
    pool.request('1')
    const error = { code: 'model_load_failed', message: 'no' } as const
    const failed = { ...ready('1'), status: { state: 'failed', error } as const }
    pool.handle({ type: 'instance', agentId: agentId('a'), ...failed })
    pool.now += 12_000
    const waitMs = retryAfter(pool) ?? NaN
    expect(waitMs).toBe(18_000)
    pool.now += waitMs
    expect(leasesOf(pool.request('again'))).toEqual(['again@a'])
  })

  test('is asked for again when an agent that is away will have tried to come back', () => {
    const pool = new Pool()
    pool.up('a')
    pool.handle({ type: 'agent_down', agentId: agentId('a') })
    pool.now += 20_000
    expect(retryAfter(pool)).toBe(26_000)
    pool.tick(200_000)
    expect(retryAfter(pool)).toBe(78_000)
  })

  test('is asked for again soon after a start of the server, when agents are on their way', () => {
    const pool = new Pool()
    pool.now += 2_000
    expect(retryAfter(pool)).toBe(2_600)
  })

  test('and will not be for all that is known, has no time', () => {
    const pool = new Pool()
    pool.up('a', { adminState: 'pending' })
    expect(retryAfter(pool)).toBeUndefined()
  })
})

describe('who waits', () => {
  test('hears when it will start, and so it is when nobody else comes', () => {
    const schedule = new Schedule(2, 10_000)
    const { pool } = schedule
    schedule.request('first', 'x')
    schedule.playUntil(pool.now + 10_000)
    for (let i = 0; i < 2; i++) schedule.request(`r${i}`, 'x')
    pool.now += 4_000
    const told = [5, 1, 3, 2, 4].map((tenant, i) => {
      const [queued] = pool.request(`w${i}`, 'tiny', [], { tenant: `t${tenant}` })
      if (queued?.type !== 'queued') throw new Error('it must wait')
      return { job: `w${i}`, at: pool.now + (queued.estimateMs ?? NaN) }
    })
    schedule.playUntil(pool.now + 60_000)
    for (const { job, at } of told) expect(schedule.starts.get(job)).toBe(at)
  })

  test('is shown to the operator by model and class; how long it waited goes with its lease', () => {
    const schedule = new Schedule(1, 10_000)
    const { pool } = schedule
    schedule.request('first', 'x')
    schedule.playUntil(pool.now + 10_000)
    schedule.request('running', 'x')
    for (const [tenant, priority] of [
      ['x', 'low'],
      ['y', 'high'],
      ['z', 'high'],
    ] as const) {
      pool.now += 1_000
      pool.request(`${tenant}'s`, 'tiny', [], { tenant, priority })
    }
    const common = { model: 'tiny', emptyMs: 27_000 }
    expect(pool.scheduler.queue(pool.now)).toEqual([
      { ...common, priority: 'high', waiting: 2, tenants: 2, longestMs: 1_000 },
      { ...common, priority: 'low', waiting: 1, tenants: 1, longestMs: 2_000 },
    ])
    pool.now += 7_000
    expect(pool.release('running')).toMatchObject([{ jobId: jobId("y's"), waitedMs: 8_000 }])
  })

  test('hears of a new place at the tick, and not twice within two seconds', () => {
    const pool = new Pool()
    pool.up('a', { instances: [ready('i-a', tiny, 1)] })
    for (const job of ['1', '2', '3', '4']) pool.request(job)
    expect(pool.tick(2_000)).toEqual([])
    pool.release('1')
    expect(pool.tick(1_000)).toEqual([])
    pool.release('2')
    expect(pool.tick(1_000)).toMatchObject([{ type: 'queued', jobId: jobId('4'), position: 1 }])
    expect(pool.tick(2_000)).toEqual([])
  })

  test('one key with fifty requests does not keep another waiting for more than its turn', () => {
    const pool = new Pool()
    pool.up('a', { instances: [ready('i-a')] })
    for (let i = 0; i < 50; i++) pool.request(`g${i}`, 'tiny', [], { tenant: 'greedy' })
    pool.request('modest', 'tiny', [], { tenant: 'modest' })
    expect(leasesOf(pool.release('g0'))).toEqual(['modest@a'])
    expect(leasesOf(pool.release('g1'))).toEqual(['g2@a'])
  })
})

describe('slots', () => {
  test.each([1, 2, 16])('of an agent with %d are never given twice', slots => {
    const pool = new Pool()
    pool.up('a', { instances: [ready('i-a', tiny, slots)] })
    let leases = 0
    for (let i = 0; i < 3 * slots; i++) leases += leasesOf(pool.request(`${i}`)).length
    expect(leases).toBe(slots)
    for (let i = 0; i < 2 * slots; i++) expect(leasesOf(pool.release(`${i}`))).toHaveLength(1)
  })

  test('of so many models are remembered, and no more', () => {
    const pool = new Pool()
    pool.up('a')
    for (let i = 0; i < limits.catalogueModelsMax + 5; i++) {
      const report = ready('i', { ...tiny, sha256: `${i}` })
      const told = { type: 'instance', agentId: agentId('a'), ...report } as const
      pool.handle(told)
      pool.handle({ ...told, status: { state: 'unloaded' } })
    }
    expect(pool.scheduler.agent(agentId('a'))?.slotsHeld.size).toBe(limits.catalogueModelsMax)
  })

  test('that an agent turns out not to have are filled no more, nor the next time it loads', () => {
    const pool = new Pool([{ ...tiny, slots: 4 }])
    pool.up('a')
    for (let i = 0; i < 6; i++) pool.request(`${i}`)
    const [instance] = pool.scheduler.agent(agentId('a'))?.instances.values() ?? []
    expect(instance?.leases.size).toBe(4)
    const report = ready(instance?.id ?? '', tiny, 1)
    pool.handle({ type: 'instance', agentId: agentId('a'), ...report })
    // What was sent before the agent said so waits there, bounded by its own limit.
    for (const job of ['0', '1', '2']) expect(leasesOf(pool.release(job))).toEqual([])
    expect(leasesOf(pool.release('3'))).toEqual(['4@a'])
    for (const job of ['4', '5']) pool.release(job)
    pool.handle({
      type: 'instance',
      agentId: agentId('a'),
      ...report,
      status: { state: 'unloaded' },
    })
    const again = ['7', '8', '9'].flatMap(job => leasesOf(pool.request(job)))
    expect(again).toEqual(['7@a'])
  })
})
