import { describe, expect, test } from 'bun:test'
import {
  agentFacts,
  agentId,
  jobId,
  leasesOf,
  Pool,
  ready,
  refusalOf,
  spare,
  tiny,
} from '../../test/support/scheduler-pool.ts'
import { waitingLengthMax, waitingTimeMaxMs } from './fair-queue.ts'

/** Fills the line with one request each of many tenants. */
function fill(pool: Pool): void {
  for (let i = 0; i < waitingLengthMax; i++)
    pool.request(`w${i}`, 'tiny', [], { tenant: `tenant-${i}` })
  expect(pool.scheduler.waiting).toBe(waitingLengthMax)
}

describe('placing a request', () => {
  test('goes to the least loaded agent that holds the model, with the others as fallbacks', () => {
    const pool = new Pool()
    pool.up('a', { instances: [ready('i-a')] })
    pool.up('b', { instances: [ready('i-b')] })
    expect(leasesOf(pool.request('1'))).toEqual(['1@a'])
    const second = pool.request('2')
    expect(leasesOf(second)).toEqual(['2@b'])
    expect(second).toContainEqual({
      type: 'lease',
      jobId: jobId('2'),
      agentId: agentId('b'),
      instanceId: spare('i-b'),
      ready: true,
      contextTokens: 1024,
      fallbacks: [agentId('a')],
      waitedMs: 0,
    })
  })

  test('loads the model where nobody holds it, and leases there before it is ready', () => {
    const pool = new Pool()
    pool.up('a')
    expect(pool.request('1').map(command => command.type)).toEqual(['load', 'lease'])
    expect(leasesOf(pool.request('2'))).toEqual(['2@a'])
  })

  test('prefers an agent with the model in memory to an emptier one without it', () => {
    const pool = new Pool()
    pool.up('a')
    pool.up('b', { instances: [ready('i-b')], reliability: 0.1 })
    expect(leasesOf(pool.request('1'))).toEqual(['1@b'])
  })

  test('among equally loaded agents the more reliable one gets it', () => {
    const pool = new Pool()
    pool.up('a', { instances: [ready('i-a')], reliability: 0.3 })
    pool.up('b', { instances: [ready('i-b')], reliability: 0.9 })
    expect(leasesOf(pool.request('1'))).toEqual(['1@b'])
  })

  test('loads on a second, idle agent when every slot of the first is busy', () => {
    const pool = new Pool()
    pool.up('a', { instances: [ready('i-a')] })
    pool.up('b')
    pool.request('1')
    pool.request('2')
    expect(pool.request('3').map(command => command.type)).toEqual(['load', 'lease'])
  })

  test('an unknown model is refused by name', () => {
    const pool = new Pool()
    pool.up('a')
    expect(refusalOf(pool.request('1', 'nonsense'))).toMatchObject({ code: 'model_not_found' })
  })

  test('says with figures why nobody can', () => {
    const pool = new Pool()
    expect(refusalOf(pool.request('1'))?.message).toContain('no agent is connected')
    pool.up('a')
    pool.up('b', { adminState: 'pending' })
    const error = refusalOf(pool.request('2', 'huge'))
    expect(error?.code).toBe('no_capable_agent')
    expect(error?.message).toContain('1 × does not fit main memory: 16000 MB, needed 67270 MB')
    expect(error?.message).toContain('1 × pending by the operator')
  })

  test('a card that is lost or found while the agent is up counts from then on', () => {
    const pool = new Pool()
    pool.up('a')
    expect(refusalOf(pool.request('1', 'huge'))?.code).toBe('no_capable_agent')
    const { inventory } = agentFacts('a')
    const card = {
      id: 'GPU-1',
      vendor: 'nvidia',
      kind: 'discrete',
      name: 'NVIDIA H100',
      vramTotalMb: 81_559,
      driverVersion: null,
      computeCapability: '9.0',
      pciBusId: null,
      source: 'nvml',
    } as const
    const told = { type: 'inventory', agentId: agentId('a') } as const
    pool.handle({ ...told, inventory: { ...inventory, gpus: [card] } })
    expect(leasesOf(pool.request('2', 'huge'))).toEqual(['2@a'])
    pool.release('2')
    pool.handle({ ...told, inventory })
    expect(pool.scheduler.agent(agentId('a'))?.inventory.gpus).toEqual([])
  })

  test('an agent that is draining, by its owner or the operator, or revoked gets nothing new', () => {
    const cases: ((pool: Pool) => void)[] = [
      pool =>
        pool.handle({
          type: 'heartbeat',
          agentId: agentId('a'),
          draining: true,
          latencyMs: null,
        }),
      pool => pool.handle({ type: 'admin_state', agentId: agentId('a'), adminState: 'draining' }),
      pool => pool.handle({ type: 'admin_state', agentId: agentId('a'), adminState: 'revoked' }),
    ]
    for (const make of cases) {
      const pool = new Pool()
      pool.up('a', { instances: [ready('i-a')] })
      make(pool)
      expect(refusalOf(pool.request('1'))).toMatchObject({ code: 'no_capable_agent' })
    }
  })
})

describe('waiting', () => {
  test('leases never exceed slots; a released slot goes to the one that waits longest', () => {
    const pool = new Pool()
    pool.up('a', { instances: [ready('i-a')] })
    pool.request('1')
    pool.request('2')
    const queued = { type: 'queued', estimateMs: null } as const
    expect(pool.request('3')).toEqual([{ ...queued, jobId: jobId('3'), position: 1 }])
    expect(pool.request('4')).toEqual([{ ...queued, jobId: jobId('4'), position: 2 }])
    expect(leasesOf(pool.release('1'))).toEqual(['3@a'])
    expect(leasesOf(pool.release('2'))).toEqual(['4@a'])
    expect(pool.scheduler.waiting).toBe(0)
  })

  test('a client that leaves the line makes room without moving anybody else', () => {
    const pool = new Pool()
    pool.up('a', { instances: [ready('i-a')] })
    for (const job of ['1', '2', '3', '4']) pool.request(job)
    expect(pool.release('3')).toEqual([])
    expect(leasesOf(pool.release('1'))).toEqual(['4@a'])
  })

  test('the line is bounded', () => {
    const pool = new Pool()
    pool.up('a', { instances: [ready('i-a', tiny, 1)] })
    pool.request('running')
    fill(pool)
    expect(refusalOf(pool.request('one too many'))).toMatchObject({ code: 'queue_full' })
  })

  test('nobody waits for ever', () => {
    const pool = new Pool()
    pool.up('a', { instances: [ready('i-a', tiny, 1)] })
    pool.request('running')
    pool.request('waiting')
    pool.now += waitingTimeMaxMs
    pool.handle({ type: 'heartbeat', agentId: agentId('a'), draining: false, latencyMs: 1 })
    expect(refusalOf(pool.handle({ type: 'tick' }))).toMatchObject({ code: 'timeout' })
  })

  test('when the last agent that could serve is gone for good, those that wait are told', () => {
    const pool = new Pool()
    pool.up('a', { instances: [ready('i-a', tiny, 1)] })
    pool.request('running')
    pool.request('waiting')
    expect(refusalOf(pool.handle({ type: 'agent_down', agentId: agentId('a') }))).toBeUndefined()
    expect(refusalOf(pool.tick(9_999))).toBeUndefined()
    expect(refusalOf(pool.tick(1))).toMatchObject({ code: 'no_capable_agent' })
  })

  test('a hiccup of the only agent keeps everybody in line: a late pong, a connection made anew', () => {
    const pool = new Pool()
    pool.up('a', { instances: [ready('i-a', tiny, 1)] })
    pool.request('1')
    pool.request('2')
    expect(pool.handle({ type: 'ping', agentId: agentId('a'), late: true })).toMatchObject([
      { type: 'standing', standing: { liveness: 'yellow' } },
    ])
    expect(pool.request('3')).toMatchObject([{ type: 'queued', position: 2 }])
    pool.handle({ type: 'ping', agentId: agentId('a'), late: false })
    pool.handle({ type: 'agent_down', agentId: agentId('a') })
    expect(pool.retry('1', 'avoid')).toMatchObject([{ type: 'queued', position: 1 }])
    expect(leasesOf(pool.up('a', { instances: [ready('i-a', tiny, 1)] }))).toEqual(['1@a'])
    expect(leasesOf(pool.release('1'))).toEqual(['2@a'])
  })

  test('an interrupted stream goes before those that have not begun, also when the line is full', () => {
    const pool = new Pool()
    pool.up('a', { instances: [ready('i-a', tiny, 1)] })
    pool.up('b', { instances: [ready('i-b', tiny, 1)] })
    pool.request('1')
    pool.request('2')
    fill(pool)
    expect(pool.retry('1', 'avoid')).toMatchObject([{ type: 'lease', jobId: jobId('1') }])
    pool.handle({ type: 'ping', agentId: agentId('a'), late: true })
    expect(pool.retry('1', 'ban')).toMatchObject([{ type: 'queued', position: 1 }])
    expect(leasesOf(pool.release('2'))).toEqual(['1@b'])
  })

  test('one that may not go where there is room does not block those behind it', () => {
    const pool = new Pool()
    pool.up('a', { instances: [ready('i-a', tiny, 1)] })
    pool.up('b', { instances: [ready('i-b', tiny, 1)] })
    pool.request('1')
    pool.request('2')
    pool.request('3')
    expect(pool.retry('1', 'ban').map(command => command.type)).toEqual(['queued', 'lease'])
  })
})
