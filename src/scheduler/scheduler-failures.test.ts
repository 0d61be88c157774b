import { describe, expect, test } from 'bun:test'
import {
  agentId,
  huge,
  leasesOf,
  Pool,
  ready,
  refusalOf,
  spare,
  tiny,
} from '../../test/support/scheduler-pool.ts'
import { limits } from '../protocol/limits.ts'

describe('failures', () => {
  test('a retry goes to another agent and never back to one that failed the job', () => {
    const pool = new Pool()
    pool.up('a', { instances: [ready('i-a')] })
    pool.up('b', { instances: [ready('i-b')] })
    pool.request('1')
    expect(leasesOf(pool.retry('1'))).toEqual(['1@b'])
    expect(refusalOf(pool.retry('1'))?.message).toContain('2 × failed this request')
  })

  test('a retry goes to the next of the fallbacks that were named with the lease, while it is nearly the best', () => {
    const pool = new Pool()
    for (const name of ['a', 'b', 'c', 'd', 'e'])
      pool.up(name, { instances: [ready(`i-${name}`, tiny, 4)] })
    expect(pool.request('1')).toMatchObject([{ agentId: 'a', fallbacks: ['b', 'c', 'd'] }])
    for (const job of ['2', '3']) pool.request(job)
    // Now b has one and d none, so a job that begins goes to d; this one goes to b, as it was told.
    expect(leasesOf(pool.request('4'))).toEqual(['4@d'])
    pool.release('4')
    expect(pool.retry('1')).toMatchObject([{ agentId: 'b', fallbacks: ['d', 'e', 'c'] }])
  })

  test('a fallback that is worse by now is passed over', () => {
    const pool = new Pool()
    for (const name of ['a', 'b', 'c']) pool.up(name, { instances: [ready(`i-${name}`)] })
    pool.request('1')
    pool.handle({ type: 'reliability', agentId: agentId('b'), reliability: 0.1 })
    expect(leasesOf(pool.retry('1'))).toEqual(['1@c'])
  })

  test('a model that did not load is let go there, and not asked for again for a growing while', () => {
    const pool = new Pool()
    pool.up('a')
    pool.request('1')
    const fails = (instance: string) =>
      pool.handle({
        type: 'instance',
        agentId: agentId('a'),
        instanceId: spare(instance),
        modelSha256: tiny.sha256,
        status: { state: 'failed', error: { code: 'out_of_memory', message: 'no room' } },
      })
    expect(fails('1')).toEqual([{ type: 'unload', agentId: agentId('a'), instanceId: spare('1') }])
    expect(refusalOf(pool.request('2'))?.message).toContain('could not load it (no room)')
    pool.now += 30_000
    expect(pool.request('3').map(command => command.type)).toEqual(['load', 'lease'])
    fails('3')
    pool.now += 30_000
    expect(refusalOf(pool.request('4'))?.message).toContain('asked again in 30 s')
  })

  test('an instance that was told to unload gets nothing new', () => {
    const pool = new Pool()
    pool.up('a', { instances: [ready('i-a')] })
    expect(pool.handle({ type: 'unload_model', model: 'tiny' })).toMatchObject([
      { type: 'unload' },
      { type: 'order', loaded: false },
    ])
    expect(pool.handle({ type: 'unload_model', model: 'tiny' })).toHaveLength(0)
    expect(pool.request('1')).toMatchObject([
      { type: 'load' },
      { type: 'lease', instanceId: '1' },
      { type: 'order', loaded: null },
    ])
  })

  test('a model that leaves the catalogue is unloaded, and its interrupted jobs do not go on with other weights', () => {
    const pool = new Pool()
    pool.up('a', { instances: [ready('i-a')] })
    pool.up('b', { instances: [ready('i-b')] })
    pool.request('1')
    const other = { ...tiny, sha256: 'd'.repeat(64) }
    expect(pool.handle({ type: 'catalogue', models: [other] })).toHaveLength(2)
    expect(refusalOf(pool.retry('1'))).toMatchObject({ code: 'model_not_found' })
  })

  test('two names of one file with different contexts do not share an instance that is too small', () => {
    const long = { ...tiny, name: 'tiny-long', contextTokens: 4096 }
    const pool = new Pool([tiny, long])
    pool.up('a', { instances: [ready('i-a')] })
    expect(pool.request('1', 'tiny')).toMatchObject([{ instanceId: 'i-a' }])
    expect(pool.request('2', 'tiny-long').map(command => command.type)).toEqual(['load', 'lease'])
    expect(pool.request('3', 'tiny-long')).toMatchObject([{ type: 'lease', instanceId: '2' }])
  })

  test('an agent that was only interrupted is used again when there is no other', () => {
    const pool = new Pool()
    pool.up('a', { instances: [ready('i-a')] })
    pool.request('1')
    expect(leasesOf(pool.retry('1', 'avoid'))).toEqual(['1@a'])
    pool.up('b', { instances: [ready('i-b')], reliability: 0.1 })
    expect(leasesOf(pool.retry('1', 'avoid'))).toEqual(['1@b'])
  })

  test('an agent that comes back with its model is used at once', () => {
    const pool = new Pool()
    pool.up('a', { instances: [ready('i-a')] })
    pool.handle({ type: 'agent_down', agentId: agentId('a') })
    expect(pool.request('1')).toMatchObject([{ type: 'queued' }])
    expect(leasesOf(pool.up('a', { instances: [ready('i-a')] }))).toEqual(['1@a'])
    expect(leasesOf(pool.request('2'))).toEqual(['2@a'])
  })

  test('a model that left the catalogue is unloaded from an agent that still holds it', () => {
    const pool = new Pool([huge])
    expect(pool.up('a', { instances: [ready('i-a')] })).toContainEqual({
      type: 'unload',
      agentId: agentId('a'),
      instanceId: spare('i-a'),
    })
  })

  test('the work of an agent is told to move at one missed heartbeat, the agent is let go at three', () => {
    const pool = new Pool()
    pool.up('a', { instances: [ready('i-a')] })
    const { heartbeatIntervalMs, heartbeatGraceMs } = limits
    pool.now += heartbeatIntervalMs + heartbeatGraceMs - 1
    expect(pool.handle({ type: 'tick' })).toEqual([])
    pool.now += 1
    expect(pool.handle({ type: 'tick' })).toEqual([
      {
        type: 'standing',
        agentId: agentId('a'),
        standing: { liveness: 'red', status: 'degraded' },
      },
    ])
    pool.now += 2 * heartbeatIntervalMs
    expect(pool.handle({ type: 'tick' }).map(command => command.type)).toEqual([
      'standing',
      'disconnect',
    ])
  })

  test('a heartbeat brings a degraded agent back', () => {
    const pool = new Pool()
    pool.up('a', { instances: [ready('i-a')] })
    pool.now += limits.heartbeatIntervalMs + limits.heartbeatGraceMs
    pool.handle({ type: 'tick' })
    const heartbeat = {
      type: 'heartbeat',
      agentId: agentId('a'),
      draining: false,
      latencyMs: 3,
    } as const
    expect(pool.handle(heartbeat)).toEqual([
      {
        type: 'standing',
        agentId: agentId('a'),
        standing: { liveness: 'green', status: 'online' },
      },
    ])
    expect(leasesOf(pool.request('1'))).toEqual(['1@a'])
  })
})
