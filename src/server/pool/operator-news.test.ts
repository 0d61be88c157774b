import { afterAll, beforeAll, beforeEach, expect, test } from 'bun:test'
import { emptyDatabase } from '../../../test/support/empty-database.ts'
import { openTestPglite, type TestStore } from '../../../test/support/pglite.ts'
import { gpu } from '../../../test/support/scheduler-pool.ts'
import { askTiny, connectAgent, openPool } from '../../../test/support/scripted-agent.ts'
import { inventory, model } from '../../../test/support/store-fixtures.ts'
import type { AdminEvent } from '../notify/admin-event.ts'
import { offlineToldMs } from '../notify/offline-watch.ts'
import type { Pool } from './assemble-pool.ts'

// What the operator hears of the whole pool: everything but the machines is real.
let database: TestStore
let pool: Pool
let sent: AdminEvent[]
let now = 1_000_000

beforeAll(async () => {
  database = await openTestPglite()
}, 60_000)
afterAll(() => database.store.close())
beforeEach(async () => {
  await emptyDatabase(database.db)
  await database.store.addModel(model('tiny', { slots: 1 }))
  sent = []
  pool = await openPool(
    database.store,
    () => now,
    event => void sent.push(event),
  )
})

const withGpu = { ...inventory, gpus: [gpu()] }
const connect = (name: string, seen = inventory) =>
  connectAgent(pool, database.store, name, { seen })
const ask = () => askTiny(pool, now)
const told = () => sent.map(({ type }) => type)

test('a machine that fails too often is told, and that it is healthy again; both are kept', async () => {
  const agent = await connect('den')
  for (let failures = 0; failures < 5; failures++) {
    ask()
    agent.fail('internal', 'nonsense came out')
  }
  await pool.poolAdmin.setAdminState(agent.id, 'active')
  expect(sent).toMatchObject([
    {
      type: 'agent_unhealthy',
      severity: 'critical',
      agentId: agent.id,
      agentName: 'den',
      text: expect.stringContaining('5 of 5 inferences failed') as string,
    },
    { type: 'agent_healthy', severity: 'info' },
  ])
  await pool.registry.flush()
  const kept = await database.store.listEvents({ agentId: agent.id, limitRows: 9 })
  expect(kept.map(({ type }) => type)).toEqual(['agent_healthy', 'agent_unhealthy'])
})

test('a GPU above 95 °C is told once, and that it has cooled down', async () => {
  const agent = await connect('den', withGpu)
  for (const temperatureC of [97, 96, 99, 70, 60]) agent.beat(temperatureC)
  expect(told()).toEqual(['thermal_event', 'agent_too_hot', 'agent_cooled'])
  expect(sent[1]?.text).toContain('was above 95 °C')
})

test('a driver with known trouble is told once, however often its machine connects', async () => {
  const seen = { ...inventory, gpus: [gpu({ driverVersion: '525.147.05' })] }
  const agent = await connect('den', seen)
  await connectAgent(pool, database.store, 'den', { id: agent.id, seen })
  expect(sent).toMatchObject([
    { type: 'driver_trouble', text: expect.stringContaining('CUDA 12') as string },
  ])
})

test('a model that a machine cannot serve is told with the machine’s reason; one that does not fit is not', async () => {
  const agent = await connect('den')
  const fail = (code: string, message: string) => {
    ask()
    const load = agent.sent.findLast(each => each.type === 'load')
    if (load === undefined) throw new Error('it was not told to load')
    const status = { state: 'failed', error: { code, message } } as const
    const { instanceId, manifest } = load
    agent.says({ type: 'instance', instanceId, modelSha256: manifest.sha256, status })
  }
  fail('out_of_memory', 'no room')
  expect(told()).toEqual([])
  now += 60_000
  fail('model_load_failed', 'the file is in quarantine on this machine')
  expect(sent).toMatchObject([
    {
      type: 'model_failed',
      model: 'tiny',
      text: 'tiny cannot be served there: the file is in quarantine on this machine',
    },
  ])
})

test('a request that ended two workers is told, with its model and without its content', async () => {
  const agents = [await connect('den'), await connect('attic')]
  await pool.poolAdmin.loadModel('tiny', null)
  for (const agent of agents) agent.isReady()
  ask()
  const first = agents.find(agent => agent.types.includes('assign'))
  first?.fail('worker_died')
  agents.find(agent => agent !== first)?.fail('worker_died')
  expect(sent).toMatchObject([{ type: 'request_quarantined', model: 'tiny', agentId: null }])
  expect(sent[0]?.text).toMatch(/\((den, attic|attic, den)\)/)
  expect(JSON.stringify(sent)).not.toContain('hello')
})

test('a machine that stays away is told after a day, and when it is back; one that was revoked is not', async () => {
  const agent = await connect('den')
  const revoked = await connect('gone')
  await pool.poolAdmin.setAdminState(revoked.id, 'revoked')
  for (const each of [agent, revoked]) pool.dispatcher.agentGone(each.id, each)
  now += offlineToldMs
  pool.agents.tellMissing(now)
  expect(sent).toMatchObject([{ type: 'agent_offline', agentName: 'den', severity: 'warning' }])
  now += 3_600_000
  await connectAgent(pool, database.store, 'den', { id: agent.id })
  expect(sent[1]).toMatchObject({ type: 'agent_back', text: 'it is back after 25 h' })
})

test('a machine that was there before this server began is missed as well', async () => {
  const agent = await connect('den')
  await pool.registry.flush()
  pool = await openPool(
    database.store,
    () => now,
    event => void sent.push(event),
  )
  now += offlineToldMs
  pool.agents.tellMissing(now)
  expect(sent).toMatchObject([{ type: 'agent_offline', agentId: agent.id }])
})

test('a database that cannot be written is told', async () => {
  const broken = {
    ...database.store,
    settleRequest: () =>
      Promise.reject(new Error('could not extend file: no space left on device')),
  }
  pool = await openPool(
    broken,
    () => now,
    event => void sent.push(event),
  )
  const agent = await connect('den')
  ask()
  agent.start()
  agent.finish(0)
  await pool.settlement.drained()
  expect(sent).toMatchObject([
    {
      type: 'database_failing',
      severity: 'critical',
      text: expect.stringContaining('no space left on device') as string,
    },
  ])
})
