import { afterAll, beforeAll, beforeEach, expect, test } from 'bun:test'
import { emptyDatabase } from '../../../test/support/empty-database.ts'
import { openTestPglite, type TestStore } from '../../../test/support/pglite.ts'
import {
  askTiny,
  connectAgent,
  openPool,
  type ScriptedAgent,
} from '../../../test/support/scripted-agent.ts'
import { model } from '../../../test/support/store-fixtures.ts'
import type { Pool } from './assemble-pool.ts'

// A first token that is late, with the real dispatcher, scheduler, relay and store.

const usualMs = 200
let database: TestStore
let pool: Pool
let now = 1_000_000

beforeAll(async () => {
  database = await openTestPglite()
}, 60_000)
afterAll(() => database.store.close())
beforeEach(async () => {
  await emptyDatabase(database.db)
  await database.store.addModel(model('tiny', { slots: 2 }))
})

const ask = () => askTiny(pool, now)
const jobsOf = (agent: ScriptedAgent) => agent.types.filter(type => type === 'assign').length

/** Two agents with the model in memory; both have answered often enough to have a history, and one has a job now. */
async function hedgedPool(hedge: boolean) {
  pool = await openPool(database.store, () => now, undefined, hedge)
  const agents = [
    await connectAgent(pool, database.store, 'a'),
    await connectAgent(pool, database.store, 'b'),
  ] as const
  await pool.poolAdmin.loadModel('tiny', null)
  for (const agent of agents) agent.ready(2)
  for (let answers = 0; answers < 40; answers++) {
    const before = jobsOf(agents[0])
    ask()
    const agent = jobsOf(agents[0]) > before ? agents[0] : agents[1]
    agent.start()
    now += usualMs
    agent.token(0, 'x')
    agent.finish(1)
  }
  await pool.settlement.drained()
  const before = jobsOf(agents[0])
  const { events } = ask()
  const [busy, idle] = jobsOf(agents[0]) > before ? agents : [agents[1], agents[0]]
  busy.start()
  const idleJobs = jobsOf(idle)
  const wait = (ms: number) => {
    now += ms
    pool.dispatcher.tick()
    return jobsOf(idle) - idleJobs
  }
  return { busy, idle, events, wait }
}

test('a first token that is late beyond the agent’s own history brings a second agent in; it is billed once', async () => {
  const { busy, idle, events, wait } = await hedgedPool(true)
  const billedBefore = (await database.store.usage())[0]?.completionTokens ?? 0
  expect(wait(2 * usualMs - 1)).toBe(0)
  expect(wait(100)).toBe(1)
  const reliability = pool.dispatcher.scheduler.agent(busy.id)?.reliability
  idle.start()
  idle.token(0, 'first')
  expect(busy.types.at(-1)).toBe('cancel')
  busy.token(0, 'second')
  idle.finish(1)
  await pool.settlement.drained()
  expect(events).toMatchObject([
    { type: 'segments', segments: [{ text: 'first' }] },
    { type: 'finished', usage: { promptTokens: 3, completionTokens: 1 } },
  ])
  expect((await database.store.usage())[0]?.completionTokens).toBe(billedBefore + 1)
  expect(pool.poolAdmin.counts()).toMatchObject({ requestsRunning: 0, slotsBusy: 0 })
  expect(pool.dispatcher.scheduler.agent(busy.id)?.reliability).toBe(reliability)
})

test('the first agent may still win; then the second one is told to stop and its slot is free', async () => {
  const { busy, idle, events, wait } = await hedgedPool(true)
  wait(3 * usualMs)
  busy.token(0, 'first')
  expect(idle.types.at(-1)).toBe('cancel')
  expect(pool.poolAdmin.counts()).toMatchObject({ slotsBusy: 1 })
  idle.start()
  idle.token(0, 'second')
  busy.finish(1)
  await pool.settlement.drained()
  expect(events).toMatchObject([{ segments: [{ text: 'first' }] }, { type: 'finished' }])
})

test('hedging is off unless the operator wants it', async () => {
  const { wait } = await hedgedPool(false)
  expect(wait(20 * usualMs)).toBe(0)
})
