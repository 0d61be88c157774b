import { afterAll, beforeAll, beforeEach, expect, test } from 'bun:test'
import { emptyDatabase } from '../../../test/support/empty-database.ts'
import { openTestPglite, type TestStore } from '../../../test/support/pglite.ts'
import { enrolled } from '../../../test/support/store-fixtures.ts'
import type { AgentId } from '../../protocol/ids.ts'
import type { AgentRecord } from '../store/store.ts'
import { RegistryWriter } from './registry-writer.ts'
import { ReliabilityWatch } from './reliability-watch.ts'

let database: TestStore
let registry: RegistryWriter
let watch: ReliabilityWatch
let told: Map<AgentId, number>
let agent: AgentRecord
let now = 1_000_000
beforeAll(async () => {
  database = await openTestPglite()
}, 60_000)
afterAll(() => database.store.close())
beforeEach(async () => {
  await emptyDatabase(database.db)
  registry = new RegistryWriter(database.store, error => {
    throw error
  })
  told = new Map()
  watch = open()
  agent = await enrolled(database.store, { reliability: 0.8 })
  watch.admitted(agent, now)
})

const tickIntervalMs = 1_000
const open = () =>
  new ReliabilityWatch({
    registry,
    tickIntervalMs,
    onReliability: (id, reliability) => told.set(id, reliability),
  })
const beats = (count: number, gapMs: number) => {
  for (let n = 0; n < count; n++) {
    now += gapMs
    watch.heartbeat(agent.id, now)
  }
}

test('heartbeats in time and early ones cost nothing and write nothing', async () => {
  beats(10, 30_000)
  beats(10, 12_000)
  expect(told.size).toBe(0)
  await registry.flush()
  expect((await database.store.getAgent(agent.id))?.reliabilityRecord).toBeNull()
})

test('heartbeats that come late lower it, are told to placement, and stand in the history with the reason', async () => {
  beats(100, 34_000)
  expect(told.get(agent.id)).toBeWithin(0.7, 0.75)
  await registry.flush()
  expect(await database.store.listHistory(agent.id, 9)).toMatchObject([
    {
      type: 'reliability_changed',
      metadata: {
        text: expect.stringMatching(/^0\.7\d because .* heartbeats \d\.\d s late on average/),
        before: 0.8,
      },
    },
  ])
  const kept = await database.store.getAgent(agent.id)
  expect(kept?.reliability).toBeCloseTo(told.get(agent.id) ?? 0, 2)
})

test('what waited for this process is not late', () => {
  watch.tick(now)
  beats(1, 500)
  for (let round = 0; round < 20; round++) {
    now += 60_000
    watch.heartbeat(agent.id, now)
    watch.tick(now)
  }
  expect(told.size).toBe(0)
})

test('the time between two connections is no heartbeat’s delay', () => {
  beats(2, 30_000)
  now += 3_600_000
  watch.admitted(agent, now)
  beats(2, 30_000)
  expect(watch.of(agent, now).reason).not.toContain('late')
})

test('a connection that breaks costs; an owner who stops the agent and a server that goes away do not', () => {
  watch.disconnected(agent.id, 'owner', now)
  watch.disconnected(agent.id, 'server', now)
  expect(told.size).toBe(0)
  watch.disconnected(agent.id, 'network', now)
  expect(told.get(agent.id)).toBeCloseTo(0.79)
  expect(watch.of(agent, now).reason).toEndWith('1 connection lost lately (-0.01)')
})

test('survives a restart of the server', async () => {
  watch.failed(agent.id, now)
  const before = told.get(agent.id) ?? 0
  expect(before).toBeLessThan(0.75)
  await registry.flush()
  const stored = await database.store.getAgent(agent.id)
  if (stored === undefined) throw new Error('the agent is gone')
  expect(open().admitted(stored, now)).toBeCloseTo(before)
})

test('an agent that reconnects before the registry is written has what it had', () => {
  watch.failed(agent.id, now)
  expect(watch.admitted(agent, now)).toBe(told.get(agent.id) ?? 0)
})
