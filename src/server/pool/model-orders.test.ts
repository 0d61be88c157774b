import { afterAll, beforeAll, beforeEach, expect, test } from 'bun:test'
import { emptyDatabase } from '../../../test/support/empty-database.ts'
import { openTestPglite, type TestStore } from '../../../test/support/pglite.ts'
import { connectAgent, openPool } from '../../../test/support/scripted-agent.ts'
import { enrolled, model } from '../../../test/support/store-fixtures.ts'
import type { InstanceReport } from '../../scheduler/event.ts'
import type { Pool } from './assemble-pool.ts'

// What operators order of agents, over the real store: the orders outlive connections and servers.

let database: TestStore
let pool: Pool
const now = 1_000_000

beforeAll(async () => {
  database = await openTestPglite()
}, 60_000)
afterAll(() => database.store.close())
beforeEach(async () => {
  await emptyDatabase(database.db)
  await database.store.addModel(model('tiny', { slots: 1 }))
  pool = await openPool(database.store, () => now)
})

const loadsOf = ({ sent }: { readonly sent: readonly { readonly type: string }[] }) =>
  sent.filter(({ type }) => type === 'load')

test('a load that was ordered while the agent was away is done when it is back, by another server too', async () => {
  const { id } = await enrolled(database.store)
  expect(await pool.poolAdmin.loadModel('tiny', id)).toEqual({ agents: 0, later: 1 })
  const restarted = await openPool(database.store, () => now)
  const agent = await connectAgent(restarted, database.store, 'a', { id })
  expect(loadsOf(agent)).toMatchObject([{ manifest: { name: 'tiny' } }])
  const again = await openPool(database.store, () => now)
  expect(loadsOf(await connectAgent(again, database.store, 'a', { id })).length).toBe(1)
})

test('an unload that was ordered while the agent was away is done when it is back, once', async () => {
  const { id } = await enrolled(database.store)
  expect(await pool.poolAdmin.unloadModel('tiny')).toBe(0)
  const restarted = await openPool(database.store, () => now)
  const agent = await connectAgent(restarted, database.store, 'a', { id, instances: [held()] })
  expect(agent.types).toContain('unload')
  const { instanceId, modelSha256 } = held()
  agent.says({ type: 'instance', instanceId, modelSha256, status: { state: 'unloaded' } })
  await restarted.registry.flush()
  expect(await database.store.listModelOrders()).toEqual([])
})

test('an order for nobody, or for a model that nobody has, is refused and not kept', async () => {
  const { id } = await enrolled(database.store)
  const stranger = crypto.randomUUID() as typeof id
  expect(await pool.poolAdmin.loadModel('tiny', stranger)).toMatchObject({
    code: 'no_capable_agent',
  })
  expect(await pool.poolAdmin.loadModel('other', id)).toMatchObject({ code: 'model_not_found' })
  expect(await database.store.listModelOrders()).toEqual([])
})

test('a model that leaves the catalogue takes its orders along', async () => {
  const { id } = await enrolled(database.store)
  await pool.poolAdmin.loadModel('tiny', id)
  await database.store.removeModel('tiny')
  await pool.poolAdmin.catalogueChanged()
  await pool.registry.flush()
  expect(await database.store.listModelOrders()).toEqual([])
})

test('how long a model stays reaches the agents that hold it', async () => {
  const agent = await connectAgent(pool, database.store, 'a', { instances: [held()] })
  await database.store.setModelStay('tiny', { pinned: true, idleUnloadMs: 60_000 })
  await pool.poolAdmin.modelStayChanged('tiny')
  expect(loadsOf(agent).at(-1)).toMatchObject({ pinned: true, idleUnloadMs: 60_000 })
})

const held = (): InstanceReport => ({
  instanceId: '0193c3a0-0000-7000-8000-000000000001' as InstanceReport['instanceId'],
  modelSha256: model('tiny').manifest.sha256,
  status: { state: 'ready', contextTokens: 4_096, slots: 1, loadMs: 1 },
})
