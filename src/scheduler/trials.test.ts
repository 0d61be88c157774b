import { describe, expect, test } from 'bun:test'
import {
  agentId,
  gpu,
  inventoryOf,
  leasesOf,
  Pool,
  ready,
  tiny,
} from '../../test/support/scheduler-pool.ts'
import { trialEvery } from './trials.ts'

const inventory = inventoryOf([gpu()])

function poolOf(reliabilities: Readonly<Record<string, number>>): Pool {
  const pool = new Pool()
  for (const [name, reliability] of Object.entries(reliabilities))
    pool.up(name, { instances: [ready(`i-${name}`, tiny, 4)], reliability, inventory })
  return pool
}

/** One after another, so that the best one always has time. */
function servedBy(pool: Pool, requests: number): readonly string[] {
  return Array.from({ length: requests }, (_, i) => {
    const [lease] = leasesOf(pool.request(`job-${i}`))
    pool.release(`job-${i}`)
    return lease?.split('@')[1] ?? ''
  })
}

describe('an agent that has yet to earn its reliability', () => {
  test('gets every sixteenth request of a model though others have time, by turns', () => {
    const served = servedBy(poolOf({ proven: 0.9, new1: 0.3, new2: 0.3 }), 4 * trialEvery)
    const trials = served.filter((_, i) => i % trialEvery === trialEvery - 1)
    expect(trials).toEqual(['new1', 'new2', 'new1', 'new2'])
    expect(served.filter(name => name === 'proven')).toHaveLength(4 * (trialEvery - 1))
  })

  test('gets none by trial while it has one', () => {
    const pool = poolOf({ proven: 0.9, new1: 0.3 })
    for (let i = 1; i < trialEvery; i++) {
      pool.request(`before-${i}`)
      pool.release(`before-${i}`)
    }
    expect(leasesOf(pool.request('trial'))).toEqual(['trial@new1'])
    expect(servedBy(pool, 2 * trialEvery)).not.toContain('new1')
  })

  test('is not tried once it has proven itself, nor when it has mostly failed', () => {
    const served = servedBy(poolOf({ proven: 0.9, good: 0.6, bad: 0.1 }), 3 * trialEvery)
    expect(new Set(served)).toEqual(new Set(['proven']))
    const pool = poolOf({ proven: 0.9, new1: 0.3 })
    pool.handle({ type: 'reliability', agentId: agentId('new1'), reliability: 0.6 })
    expect(servedBy(pool, 2 * trialEvery)).not.toContain('new1')
  })

  test('is not tried with a job that was interrupted, nor where a better machine has time', () => {
    const pool = poolOf({ proven: 0.9, other: 0.9, new1: 0.3 })
    servedBy(pool, trialEvery - 2)
    expect(leasesOf(pool.request('moved'))).toEqual(['moved@other'])
    expect(leasesOf(pool.retry('moved'))).toEqual(['moved@proven'])
    const lesser = poolOf({ proven: 0.9 })
    lesser.up('new1', { instances: [ready('i-new1', tiny, 4)], reliability: 0.3 })
    expect(servedBy(lesser, 2 * trialEvery)).not.toContain('new1')
  })
})
