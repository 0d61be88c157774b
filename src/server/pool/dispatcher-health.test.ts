import { afterAll, beforeAll, beforeEach, expect, test } from 'bun:test'
import { emptyDatabase } from '../../../test/support/empty-database.ts'
import { openTestPglite, type TestStore } from '../../../test/support/pglite.ts'
import { gpu } from '../../../test/support/scheduler-pool.ts'
import { askTiny, connectAgent, openPool } from '../../../test/support/scripted-agent.ts'
import { inventory, model } from '../../../test/support/store-fixtures.ts'
import type { Pool } from './assemble-pool.ts'

// The health of machines as the whole pool sees it: dispatcher, scheduler, settlement, registry and store are real.
let database: TestStore
let pool: Pool
let now = 1_000_000

beforeAll(async () => {
  database = await openTestPglite()
}, 60_000)
afterAll(() => database.store.close())
beforeEach(async () => {
  await emptyDatabase(database.db)
  await database.store.addModel(model('tiny', { slots: 1 }))
  pool = await openPool(database.store, () => now)
})

const withGpu = { ...inventory, gpus: [gpu()] }
const ask = () => askTiny(pool, now)

test('while a GPU is above its limit requests wait, and its thermal events outlive the process', async () => {
  const agent = await connectAgent(pool, database.store, 'a', { seen: withGpu })
  for (let events = 0; events < 3; events++) {
    agent.beat(99)
    agent.beat(50)
    now += 3_600_000
  }
  agent.beat(96)
  const { events } = ask()
  expect(events).toMatchObject([{ type: 'queued', position: 1 }])
  expect(agent.types).not.toContain('assign')
  agent.beat(80)
  expect(agent.sent).toContainEqual(expect.objectContaining({ type: 'load', withoutGpu: true }))
  expect(agent.types.at(-1)).toBe('assign')
  await pool.registry.flush()
  const history = await database.store.listHistory(agent.id, 20)
  expect(history.filter(({ type }) => type === 'thermal_event')).toHaveLength(4)
  pool = await openPool(database.store, () => now)
  const after = await connectAgent(pool, database.store, 'a', { id: agent.id, seen: withGpu })
  expect(pool.dispatcher.scheduler.agent(after.id)?.health.unfitGpus).toEqual({
    'GPU-1': '4 thermal events in 24 h, 3 are too many',
  })
})

test('a machine that fails more than 5 % of its inferences gets no more, until the operator resumes it', async () => {
  const agent = await connectAgent(pool, database.store, 'a')
  for (let failures = 0; failures < 5; failures++) {
    ask()
    agent.fail('internal', 'nonsense came out')
  }
  const refused = ask()
  await pool.settlement.drained()
  expect(refused.events).toMatchObject([
    { type: 'failed', error: { message: expect.stringContaining('5 of 5 inferences failed') } },
  ])
  await pool.poolAdmin.setAdminState(agent.id, 'active')
  const { events } = ask()
  agent.start()
  agent.finish(0)
  await pool.settlement.drained()
  expect(events.at(-1)?.type).toBe('finished')
  await pool.registry.flush()
  const types = (await database.store.listHistory(agent.id, 50)).map(({ type }) => type)
  expect(types).toContain('became_unhealthy')
})

test('a machine that is away is forgiven too, also by a server that has not seen it yet', async () => {
  const agent = await connectAgent(pool, database.store, 'a')
  for (let failures = 0; failures < 5; failures++) {
    ask()
    agent.fail('internal', 'nonsense came out')
  }
  await pool.settlement.drained()
  await pool.registry.flush()
  pool = await openPool(database.store, () => now)
  await pool.poolAdmin.setAdminState(agent.id, 'active')
  await pool.registry.flush()
  const healthOf = async () => {
    const { id } = await connectAgent(pool, database.store, 'a', { id: agent.id })
    return pool.dispatcher.scheduler.agent(id)?.health.stopped
  }
  expect(await healthOf()).toBeNull()
  pool = await openPool(database.store, () => now)
  expect(await healthOf()).toBeNull()
})
