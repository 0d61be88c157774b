import { describe, expect, test } from 'bun:test'
import { agentId, Pool, ready, spare, tiny } from '../../test/support/scheduler-pool.ts'
import type { SchedulerCommand } from './command.ts'

const brief = (commands: readonly SchedulerCommand[]): string[] =>
  commands.flatMap(command =>
    command.type === 'load' || command.type === 'unload' || command.type === 'remind'
      ? [`${command.type} ${command.instanceId}@${command.agentId}`]
      : [],
  )

/** Orders to be kept, as they were told. */
const kept = (commands: readonly SchedulerCommand[]): string[] =>
  commands.flatMap(command =>
    command.type === 'order' ? [`${command.model}@${command.agentId} ${command.loaded}`] : [],
  )

/** The operator wants the model on one agent, or everywhere. */
const orderLoad = (pool: Pool, agent: string | null, ...spares: string[]) =>
  pool.handle({
    type: 'load_model',
    model: 'tiny',
    agentId: agent === null ? null : agentId(agent),
    spareInstanceIds: spares.map(spare),
  })
const load = (pool: Pool, agent: string | null, ...spares: string[]) =>
  brief(orderLoad(pool, agent, ...spares))
const orderUnload = (pool: Pool, ...enrolled: string[]) =>
  pool.handle({ type: 'unload_model', model: 'tiny', enrolled: enrolled.map(agentId) })
const down = (pool: Pool, name: string) =>
  pool.handle({ type: 'agent_down', agentId: agentId(name) })
const says = (pool: Pool, name: string, instanceId: string, state: 'unloaded' | 'failed') =>
  pool.handle({
    type: 'instance',
    agentId: agentId(name),
    instanceId: spare(instanceId),
    modelSha256: tiny.sha256,
    status:
      state === 'unloaded'
        ? { state }
        : { state, error: { code: 'model_load_failed', message: 'no' } },
  })

describe('a model that the operator wants on an agent', () => {
  test('is asked for again, as the same instance, after the order was lost with the connection', () => {
    const pool = new Pool()
    pool.up('a')
    expect(load(pool, null, 'i1')).toEqual(['load i1@a'])
    down(pool, 'a')
    expect(brief(pool.up('a'))).toEqual(['load i1@a'])
    down(pool, 'a')
    expect(load(pool, 'a', 'other')).toEqual([])
    expect(brief(pool.up('a'))).toEqual(['load i1@a'])
  })

  test('that is away is loaded when it is back, also after this process had let it go', () => {
    const pool = new Pool()
    const ordered = orderLoad(pool, 'a', 'i1')
    expect([brief(ordered), kept(ordered)]).toEqual([[], ['tiny@a true']])
    expect(brief(pool.up('a'))).toEqual(['load i1@a'])
  })

  test('is loaded by a server that was begun anew meanwhile', () => {
    const pool = new Pool()
    pool.up('b')
    const order = { model: 'tiny', loaded: true }
    const orders = [
      { ...order, agentId: agentId('a'), spareInstanceId: spare('i1') },
      { ...order, agentId: agentId('b'), spareInstanceId: spare('i2') },
    ]
    expect(brief(pool.handle({ type: 'model_orders', orders }))).toEqual(['load i2@b'])
    expect(brief(pool.up('a', { instances: [ready('former')] }))).not.toContain('load i1@a')
    down(pool, 'a')
    expect(brief(pool.up('a'))).toEqual(['load i1@a'])
  })

  test('waits for what stands in the way only for a moment', () => {
    const pool = new Pool()
    pool.up('a')
    pool.handle({ type: 'ping', agentId: agentId('a'), late: true })
    expect(load(pool, 'a', 'i1')).toEqual([])
    pool.handle({ type: 'ping', agentId: agentId('a'), late: false })
    expect(brief(pool.tick(1_000))).toEqual(['load i1@a'])
    expect(brief(pool.tick(1_000))).toEqual([])
  })

  test('that could not be loaded is tried again, but not at once', () => {
    const pool = new Pool()
    pool.up('a')
    load(pool, 'a', 'i1')
    says(pool, 'a', 'i1', 'failed')
    expect(brief(pool.tick(1_000))).toEqual([])
    pool.handle({ type: 'heartbeat', agentId: agentId('a'), draining: false, latencyMs: null })
    expect(brief(pool.tick(30_000))).toEqual(['load i1@a'])
  })

  test('is not asked for again once the agent has let it go for another', () => {
    const pool = new Pool()
    pool.up('a')
    load(pool, 'a', 'i1')
    expect(kept(says(pool, 'a', 'i1', 'unloaded'))).toEqual(['tiny@a null'])
    expect(brief(pool.tick(1_000))).toEqual([])
    down(pool, 'a')
    expect(brief(pool.up('a'))).toEqual([])
  })

  test('is not asked for any more once it was unloaded, or left the catalogue', () => {
    for (const event of [
      { type: 'unload_model', model: 'tiny', enrolled: [agentId('a')] } as const,
      { type: 'catalogue', models: [] } as const,
    ]) {
      const pool = new Pool()
      load(pool, 'a', 'i1')
      pool.handle(event)
      expect(brief(pool.up('a'))).toEqual([])
    }
  })
})

describe('a model that the operator has unloaded', () => {
  test('is unloaded on an agent that was away, when it is back, until it is gone there', () => {
    const pool = new Pool()
    pool.up('a', { instances: [ready('i1')] })
    down(pool, 'a')
    pool.now += 1_000
    expect(kept(orderUnload(pool, 'a', 'b'))).toEqual(['tiny@a false', 'tiny@b false'])
    pool.now += 3_600_000
    pool.handle({ type: 'tick' })
    const held = { instances: [ready('i1')] }
    expect(brief(pool.up('a', held))).toContain('unload i1@a')
    down(pool, 'a')
    expect(brief(pool.up('a', held))).toContain('unload i1@a')
    expect(kept(says(pool, 'a', 'i1', 'unloaded'))).toEqual(['tiny@a null'])
    down(pool, 'a')
    expect(brief(pool.up('a', held))).not.toContain('unload i1@a')
  })

  test('is unloaded when the word was lost with the connection', () => {
    const pool = new Pool()
    pool.up('a', { instances: [ready('i1')] })
    expect(brief(orderUnload(pool, 'a'))).toEqual(['unload i1@a'])
    down(pool, 'a')
    expect(brief(pool.up('a', { instances: [ready('i1')] }))).toContain('unload i1@a')
  })

  test('where nobody holds it leaves no order behind', () => {
    const pool = new Pool()
    pool.up('a')
    expect(kept(orderUnload(pool, 'a'))).toEqual([])
  })

  test('and was asked for since stays on an agent that loses its connection later', () => {
    const pool = new Pool()
    pool.up('a', { instances: [ready('i1')] })
    orderUnload(pool, 'a')
    pool.now += 1_000
    pool.request('job')
    down(pool, 'a')
    expect(brief(pool.up('a', { instances: [ready('job')] }))).toEqual(['remind job@a'])
  })
})

test('an agent hears how long a model stays at once, and whenever it connects with it', () => {
  const pool = new Pool()
  pool.up('a', { instances: [ready('i1')] })
  down(pool, 'a')
  expect(brief(pool.up('b', { instances: [ready('i2')] }))).toEqual(['remind i2@b'])
  expect(brief(pool.handle({ type: 'model_stay', model: 'tiny' }))).toEqual(['remind i2@b'])
  expect(brief(pool.up('a', { instances: [ready('i1')] }))).toEqual(['remind i1@a'])
})
