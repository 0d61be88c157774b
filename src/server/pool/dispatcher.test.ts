import { afterAll, beforeAll, beforeEach, expect, test } from 'bun:test'
import { emptyDatabase } from '../../../test/support/empty-database.ts'
import { openTestPglite, type TestStore } from '../../../test/support/pglite.ts'
import {
  askTiny,
  chat,
  connectAgent,
  openPool,
  type ScriptedAgent,
} from '../../../test/support/scripted-agent.ts'
import { inventory, model, shape } from '../../../test/support/store-fixtures.ts'
import { newJobId, type AgentId } from '../../protocol/ids.ts'
import { limits } from '../../protocol/limits.ts'
import { closeCodes } from '../control/agent-session.ts'
import type { InferenceEvent } from '../inference.ts'
import type { Pool } from './assemble-pool.ts'

// The real dispatcher, scheduler, relay and store; the agents are scripts at the end of a link.

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

const connect = (name: string, id?: AgentId, seen = inventory) =>
  connectAgent(pool, database.store, name, { ...(id !== undefined && { id }), seen })
const ask = () => askTiny(pool, now)

const textOf = (events: readonly InferenceEvent[]) =>
  events
    .flatMap(event => (event.type === 'segments' ? event.segments : []))
    .map(segment => segment.text)
    .join('')

test('a request loads the model, runs, and ends with usage from the store', async () => {
  const agent = await connect('a')
  expect(agent.types).toEqual(['cancel'])
  const { events } = ask()
  expect(agent.types).toEqual(['cancel', 'load', 'assign'])
  agent.start()
  agent.token(0, 'Hel')
  agent.token(1, 'lo')
  agent.finish(2)
  await pool.settlement.drained()
  expect(textOf(events)).toBe('Hello')
  expect(events.at(-1)).toMatchObject({
    type: 'finished',
    usage: { promptTokens: 3, completionTokens: 2 },
  })
  expect(await database.store.usage()).toMatchObject([{ completionTokens: 2 }])
  expect(pool.poolAdmin.counts()).toMatchObject({ requestsRunning: 0, slotsBusy: 0 })
})

test('a client that hangs up while the end of its answer is stored hears nothing of it', async () => {
  const agent = await connect('a')
  const { events, cancel } = ask()
  agent.start()
  agent.token(0, 'all')
  agent.finish(1)
  cancel()
  await pool.settlement.drained()
  expect(events.map(({ type }) => type)).toEqual(['segments'])
  expect(await database.store.usage()).toMatchObject([{ completionTokens: 1 }])
})

test('the order to load leaves the shape out: the agent reads it from the file', async () => {
  const { manifest } = model('tiny')
  await database.store.removeModel('tiny')
  await database.store.addModel(model('tiny', { manifest: { ...manifest, shape } }))
  await pool.poolAdmin.catalogueChanged()
  const agent = await connect('a')
  ask()
  expect(agent.sent.find(message => message.type === 'load')).toMatchObject({ manifest })
  expect(JSON.stringify(agent.sent)).not.toContain('shape')
})

test('what another agent says about a stream that is not its own is ignored', async () => {
  const agent = await connect('a')
  const stranger = await connect('b')
  const { events } = ask()
  const [owner, other] = agent.types.includes('assign') ? [agent, stranger] : [stranger, agent]
  owner.start()
  const { stream, attempt } = owner.job
  other.says({ type: 'finished', stream, attempt, reason: 'stop', tokens: 0 })
  const error = { code: 'internal', message: 'lies' }
  other.says({ type: 'failed', stream, attempt, error })
  owner.token(0, 'mine')
  expect(textOf(events)).toBe('mine')
  expect(events.length).toBe(1)
})

test('when the connection breaks, the next agent continues, and the old one is not heard any more', async () => {
  const first = await connect('a')
  const { events } = ask()
  first.start()
  first.token(0, 'Hel')
  const second = await connect('b')
  pool.dispatcher.agentGone(first.id, first)
  expect(second.job).toMatchObject({
    stream: first.job.stream,
    attempt: 1,
    continuation: { tokenIds: [7], deliveredBytes: 3 },
  })
  second.start()
  first.token(1, 'STALE')
  second.token(1, 'lo')
  second.finish(2)
  await pool.settlement.drained()
  expect(textOf(events)).toBe('Hello')
  expect(events.at(-1)?.type).toBe('finished')
})

test('a request for a model that the agent has just pushed out goes on elsewhere, and the agent may be asked anew', async () => {
  const first = await connect('a')
  const warm = ask()
  first.start()
  first.finish(0)
  await pool.settlement.drained()
  expect(warm.events.at(-1)?.type).toBe('finished')
  const load = first.sent.find(message => message.type === 'load')
  if (load?.type !== 'load') throw new Error('the model was not loaded')
  first.says({
    type: 'instance',
    instanceId: load.instanceId,
    modelSha256: load.manifest.sha256,
    status: { state: 'ready', contextTokens: load.contextTokens, slots: 1, loadMs: 1 },
  })
  const second = await connect('b')
  const { events } = ask()
  const { stream, attempt, instanceId } = first.job
  expect(instanceId).toBe(load.instanceId)
  // The assignment and the word that the model is gone cross each other.
  const error = { code: 'model_unloaded', message: 'the model is not loaded here' }
  first.says({
    type: 'instance',
    instanceId,
    modelSha256: load.manifest.sha256,
    status: { state: 'unloaded' },
  })
  first.says({ type: 'failed', stream, attempt, error })
  expect(second.types.slice(-2)).toEqual(['load', 'assign'])
  const third = ask()
  expect(first.types.slice(-2)).toEqual(['load', 'assign'])
  expect(pool.poolAdmin.counts()).toMatchObject({ requestsRunning: 2 })
  for (const agent of [first, second]) {
    agent.start()
    agent.finish(0)
  }
  await pool.settlement.drained()
  expect([events.at(-1)?.type, third.events.at(-1)?.type]).toEqual(['finished', 'finished'])
})

test('where there is no other agent, the one that has just pushed the model out loads it again', async () => {
  const only = await connect('a')
  const warm = ask()
  only.start()
  only.finish(0)
  await pool.settlement.drained()
  expect(warm.events.at(-1)?.type).toBe('finished')
  const { events } = ask()
  const { stream, attempt, instanceId } = only.job
  const load = only.sent.find(message => message.type === 'load')
  if (load?.type !== 'load') throw new Error('the model was not loaded')
  const status = { state: 'unloaded' } as const
  only.says({ type: 'instance', instanceId, modelSha256: load.manifest.sha256, status })
  const error = { code: 'model_unloaded', message: 'the model is not loaded here' }
  only.says({ type: 'failed', stream, attempt, error })
  expect(only.types.slice(-2)).toEqual(['load', 'assign'])
  only.start()
  only.finish(0)
  await pool.settlement.drained()
  expect(events.at(-1)?.type).toBe('finished')
})

test('an agent that connects again loses what it was doing before, and its old link is closed', async () => {
  const before = await connect('a')
  const { events } = ask()
  before.start()
  before.token(0, 'Hel')
  const other = await connect('b')
  const after = await connect('a', before.id)
  expect(before.closedWith).toBe(closeCodes.replaced)
  expect(other.job.attempt).toBe(1)
  pool.dispatcher.agentGone(before.id, before)
  expect(pool.agents.get(after.id)?.link).toBe(after)
  other.start()
  other.finish(1)
  await pool.settlement.drained()
  expect(events.at(-1)?.type).toBe('finished')
})

test('a client that hangs up stops the agent at once, and the slot goes to the one that waits', async () => {
  const agent = await connect('a')
  const leaving = ask()
  const waiting = ask()
  agent.start()
  const { stream, attempt } = agent.job
  leaving.cancel()
  leaving.cancel()
  expect(agent.sent).toContainEqual({ type: 'cancel', stream, attempt })
  expect(agent.sent.filter(message => message.type === 'cancel').length).toBe(2)
  agent.start()
  agent.token(0, 'next')
  await pool.settlement.drained()
  expect(leaving.events).toEqual([])
  expect(textOf(waiting.events)).toBe('next')
})

test('a silent agent loses its work at the first missed heartbeat', async () => {
  const silent = await connect('a')
  const { events } = ask()
  silent.start()
  now += limits.heartbeatIntervalMs
  const alive = await connect('b')
  now += limits.heartbeatGraceMs
  pool.dispatcher.tick()
  expect(silent.types.at(-1)).toBe('cancel')
  expect(alive.job.attempt).toBe(1)
  expect(events).toEqual([])
})

test('a request that is too large for the wire is refused, not tried everywhere', async () => {
  const agents = [await connect('a'), await connect('b')]
  for (const agent of agents) agent.answer = 'too_large'
  const { events } = ask()
  await pool.settlement.drained()
  expect(events).toMatchObject([{ type: 'failed', error: { code: 'payload_too_large' } }])
})

test('what waits goes to a reconnected agent only as far as it has room', async () => {
  const before = await connect('a')
  const running = ask()
  const waiting = ask()
  before.start()
  before.token(0, 'Hel')
  const after = await connect('a', before.id)
  // One slot, two requests: the interrupted one is first in line, the other one waits on.
  expect(after.sent.filter(message => message.type === 'assign')).toHaveLength(1)
  expect(pool.poolAdmin.counts()).toMatchObject({ slotsBusy: 1, requestsQueued: 1 })
  after.start()
  after.finish(0)
  await pool.settlement.drained()
  expect(
    [running, waiting].filter(({ events }) => events.at(-1)?.type === 'finished'),
  ).toHaveLength(1)
})

test('the only agent comes back within seconds: its stream goes on there', async () => {
  const before = await connect('a')
  const { events } = ask()
  before.start()
  before.token(0, 'Hel')
  pool.dispatcher.agentGone(before.id, before)
  expect(events.slice(1)).toEqual([{ type: 'queued', position: 1, estimateMs: null }])
  const after = await connect('a', before.id)
  expect(after.job).toMatchObject({ attempt: 1, continuation: { tokenIds: [7] } })
  after.start()
  after.token(1, 'lo')
  after.finish(2)
  await pool.settlement.drained()
  expect(textOf(events)).toBe('Hello')
})

test('stalls and breaches cost the agent reliability at once, a lost connection next to nothing', async () => {
  const agent = await connect('a')
  const reliability = () => pool.dispatcher.scheduler.agent(agent.id)?.reliability
  const before = reliability() ?? 0
  ask()
  agent.start()
  agent.token(5, 'a gap')
  expect(reliability()).toBeLessThan(before)
  const after = reliability() ?? 0
  ask()
  pool.dispatcher.agentGone(agent.id, agent)
  expect(reliability()).toBeCloseTo(after - 0.01)
})

test('a request that ended two workers is given to no third, comes back as what it is, and costs nobody', async () => {
  const agents = [await connect('a'), await connect('b'), await connect('c')]
  await pool.poolAdmin.loadModel('tiny', null)
  for (const agent of agents) agent.isReady()
  const busy = () => agents.filter(agent => agent.types.includes('assign'))
  const { events } = ask()
  const [first] = busy()
  const die = (agent: ScriptedAgent | undefined) => {
    if (agent === undefined) throw new Error('nobody was given the job')
    agent.fail('worker_died')
  }
  die(first)
  die(busy().find(agent => agent !== first))
  await pool.settlement.drained()
  expect(events).toMatchObject([{ type: 'failed', error: { code: 'request_quarantined' } }])
  const again = ask()
  expect(again.events).toMatchObject([
    {
      type: 'failed',
      error: {
        code: 'request_quarantined',
        message: expect.stringContaining('ended the processes') as string,
      },
    },
  ])
  expect(busy()).toHaveLength(2)
  for (const { id } of agents)
    expect(pool.dispatcher.scheduler.agent(id)?.reliability).toBeCloseTo(0.25)
})

test('a job that leaves no room for a continuation is refused before it is placed', async () => {
  const agent = await connect('a')
  const events: InferenceEvent[] = []
  const content = 'x'.repeat(limits.controlMessageBytesMax / 2)
  const large = { ...chat, messages: [{ role: 'user' as const, content }] }
  const jobId = newJobId()
  const request = { jobId, keyId: 'key-1', model: 'tiny', chat: large, receivedAt: now }
  pool.dispatcher.submit(request, event => events.push(event))
  expect(events).toMatchObject([{ type: 'failed', error: { code: 'payload_too_large' } }])
  expect(agent.types).not.toContain('assign')
})

test('a job with options that its agent did not list is refused and never sent to it', async () => {
  const agent = await connect('a')
  const events: InferenceEvent[] = []
  const penalised = { ...chat, sampling: { ...chat.sampling, topK: 40 } }
  const jobId = newJobId()
  const request = { jobId, keyId: 'key-1', model: 'tiny', chat: penalised, receivedAt: now }
  pool.dispatcher.submit(request, event => events.push(event))
  await pool.settlement.drained()
  expect(events).toMatchObject([
    { error: { code: 'no_capable_agent', message: expect.stringContaining('sampling options') } },
  ])
  expect(agent.types).not.toContain('assign')
})

test('what a machine has become since it joined is in the registry', async () => {
  const agent = await connect('a')
  await connect('a', agent.id, { ...inventory, memoryTotalMb: 65_536 })
  await pool.registry.flush()
  const record = await database.store.getAgent(agent.id)
  expect(record?.capabilities.memoryTotalMb).toBe(65_536)
  expect(record?.lastHeartbeatAt).toBe(now)
})

test('an inventory that changes while the agent is connected replaces what was known', async () => {
  const agent = await connect('a')
  const grown = { ...inventory, memoryTotalMb: 65_536 }
  agent.says({ type: 'inventory', inventory: grown })
  expect(pool.dispatcher.scheduler.agent(agent.id)?.inventory).toEqual(grown)
  await pool.registry.flush()
  expect((await database.store.getAgent(agent.id))?.capabilities).toEqual(grown)
})

test('draining and resuming reach the agent', async () => {
  const agent = await connect('a')
  await pool.poolAdmin.setAdminState(agent.id, 'draining')
  expect(agent.sent.at(-1)).toEqual({ type: 'drain', resume: false })
  await pool.poolAdmin.setAdminState(agent.id, 'active')
  expect(agent.sent.at(-1)).toEqual({ type: 'drain', resume: true })
})

test('at shutdown every client hears why', async () => {
  const agent = await connect('a')
  const { events } = ask()
  const waiting = ask()
  agent.start()
  pool.dispatcher.shutDown()
  await pool.settlement.drained()
  for (const heard of [events, waiting.events])
    expect(heard.at(-1)).toMatchObject({ type: 'failed', error: { code: 'server_shutting_down' } })
  expect(agent.sent.filter(message => message.type === 'assign')).toHaveLength(1)
  expect(ask().events).toMatchObject([{ error: { code: 'server_shutting_down' } }])
})
