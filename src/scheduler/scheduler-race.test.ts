import { describe, expect, test } from 'bun:test'
import { agentId, leasesOf, Pool, ready, refusalOf } from '../../test/support/scheduler-pool.ts'

const slotsUsed = (pool: Pool, agent: string) => pool.scheduler.agent(agentId(agent))?.leaseCount

describe('a job whose agent is late', () => {
  const racing = () => {
    const pool = new Pool()
    pool.up('a', { instances: [ready('i-a')] })
    pool.up('b', { instances: [ready('i-b')] })
    pool.request('1')
    expect(pool.race('1')).toMatchObject([
      { type: 'standby', jobId: '1', agentId: 'b', instanceId: 'i-b', contextTokens: 1024 },
    ])
    return pool
  }

  test('gets a second slot elsewhere, and a third one never', () => {
    const pool = racing()
    pool.up('c', { instances: [ready('i-c')] })
    expect(pool.race('1')).toEqual([])
    expect([slotsUsed(pool, 'a'), slotsUsed(pool, 'b')]).toEqual([1, 1])
  })

  test('gives both slots back when it ends, and one of them when the race is over', () => {
    const ended = racing()
    ended.release('1')
    expect([slotsUsed(ended, 'a'), slotsUsed(ended, 'b')]).toEqual([0, 0])
    const decided = racing()
    decided.drop('1', 'a', 'avoid')
    expect([slotsUsed(decided, 'a'), slotsUsed(decided, 'b')]).toEqual([0, 1])
    decided.release('1')
    expect(slotsUsed(decided, 'b')).toBe(0)
  })

  test('that loses both agents looks for a third one, and comes back to neither that failed it', () => {
    const pool = racing()
    pool.drop('1', 'a', 'ban')
    expect(refusalOf(pool.retry('1'))?.message).toContain('2 × failed this request')
  })

  test('may race one that it has left only for being late, when there is no other', () => {
    const pool = racing()
    pool.drop('1', 'a', 'avoid')
    expect(pool.race('1')).toMatchObject([{ type: 'standby', agentId: 'a' }])
  })

  test('waits on when every other slot is taken: it loads nothing, pushes nobody out and stands in no line', () => {
    const pool = new Pool()
    pool.up('a', { instances: [ready('i-a', undefined, 1)] })
    pool.up('b', { instances: [ready('i-b', undefined, 1)] })
    pool.up('c')
    pool.request('1')
    expect(leasesOf(pool.request('2'))).toEqual(['2@b'])
    expect(pool.race('1')).toEqual([])
    expect(pool.scheduler.waiting).toBe(0)
    pool.release('2')
    expect(pool.race('1')).toMatchObject([{ type: 'standby', agentId: 'b' }])
  })

  test('gets nobody who is late as well', () => {
    const pool = new Pool()
    pool.up('a', { instances: [ready('i-a')] })
    pool.up('b', { instances: [ready('i-b')] })
    pool.request('1')
    pool.handle({ type: 'ping', agentId: agentId('b'), late: true })
    expect(pool.race('1')).toEqual([])
  })

  test('that waits or is over gets nothing', () => {
    const pool = new Pool()
    pool.up('a', { instances: [ready('i-a', undefined, 1)] })
    pool.request('1')
    pool.request('2')
    expect(pool.race('2')).toEqual([])
    expect(pool.drop('2', 'a')).toEqual([])
    pool.release('1')
    expect(pool.race('1')).toEqual([])
  })
})
