import { afterAll, beforeAll, beforeEach, expect, test } from 'bun:test'
import { emptyDatabase } from '../../../test/support/empty-database.ts'
import { openTestPglite, type TestStore } from '../../../test/support/pglite.ts'
import { enrolled, key } from '../../../test/support/store-fixtures.ts'
import type { ChatJob } from '../../protocol/chat-job.ts'
import { newAgentId, newJobId } from '../../protocol/ids.ts'
import type { InferenceEvent, InferenceRequest } from '../inference.ts'
import type { RequestRecord, Store } from '../store/store.ts'
import { AttemptOutcomes } from './attempt-outcomes.ts'
import { PoisonWatch } from './poison-watch.ts'
import { RegistryWriter } from './registry-writer.ts'
import { ReliabilityWatch } from './reliability-watch.ts'
import { RequestContent } from './request-content.ts'
import { Settlement, type LostAttempt } from './settlement.ts'

let database: TestStore
beforeAll(async () => {
  database = await openTestPglite()
}, 30_000)
afterAll(() => database.store.close())
beforeEach(async () => {
  await emptyDatabase(database.db)
  await database.store.createKey(key())
})

const chat: ChatJob = {
  messages: [{ role: 'user', content: 'hello' }],
  tools: [],
  sampling: { temperature: 0, topP: 1, seed: 1 },
  maxTokens: null,
  stop: [],
  renderTimeMs: 0,
}
const usage = { promptTokens: 5, completionTokens: 7 }

const clock = { now: () => 2_000 }

function setUp(store: Store = database.store) {
  const errors: unknown[] = []
  const ended: RequestRecord[] = []
  const lost: LostAttempt[] = []
  const registry = new RegistryWriter(store, error => errors.push(error))
  const outcomes = new AttemptOutcomes({
    clock,
    registry,
    reliability: new ReliabilityWatch({ registry, tickIntervalMs: 1_000, onReliability: () => {} }),
    poison: new PoisonWatch(new Uint8Array(32)),
    jobsOn: () => [],
    isPingLate: () => false,
    onOutcome: () => {},
    onPoison: () => {},
  })
  const settlement = new Settlement({
    clock,
    store,
    outcomes,
    onEnded: record => ended.push(record),
    onAttemptLost: attempt => lost.push(attempt),
    onError: error => errors.push(error),
  })
  return { errors, ended, lost, registry, settlement }
}

const job = () => {
  const request: InferenceRequest = {
    jobId: newJobId(),
    keyId: 'key-1',
    model: 'tiny',
    chat,
    receivedAt: 1_000,
  }
  return { request, content: RequestContent.ofChat(request.model, chat) }
}

test('usage is stored before the client hears the end', async () => {
  const { settlement } = setUp()
  const heard: Promise<readonly unknown[]>[] = []
  const onEvent = (event: InferenceEvent) => {
    expect(event).toEqual({ type: 'finished', reason: 'stop', usage })
    heard.push(database.store.usage())
  }
  const served = { attempts: 1, firstTokenAt: 1_500, agentId: null }
  settlement.settle(job(), served, { type: 'finish', reason: 'stop', usage }, onEvent)
  expect(heard).toEqual([])
  await settlement.drained()
  expect(await heard[0]).toMatchObject([{ requests: 1, ...usage }])
})

test('a client that left hears nothing, and what it got is counted', async () => {
  const { settlement, ended } = setUp()
  const served = { attempts: 1, firstTokenAt: null, agentId: null }
  const onEvent = () => expect.unreachable()
  settlement.settle(job(), served, { type: 'abandon', usage }, onEvent)
  await settlement.drained()
  expect(ended).toMatchObject([{ outcome: 'cancelled', ...usage }])
  expect(await database.store.usage()).toMatchObject([usage])
})

test('when the database fails, the client hears that its usage could not be stored', async () => {
  const broken = { ...database.store, settleRequest: () => Promise.reject(new Error('disk full')) }
  const { settlement, errors } = setUp(broken)
  const events: InferenceEvent[] = []
  const served = { attempts: 1, firstTokenAt: null, agentId: null }
  const ending = { type: 'finish', reason: 'stop', usage } as const
  settlement.settle(job(), served, ending, event => events.push(event))
  await settlement.drained()
  expect(events).toMatchObject([{ type: 'failed', error: { code: 'internal' } }])
  expect(errors).toMatchObject([{ message: 'disk full' }])
})

test('a lost attempt is told with the tokens that the next one goes on from, and counts against its agent', async () => {
  const { settlement, lost, registry } = setUp()
  const { id: agentId } = await enrolled(database.store)
  const asked = job()
  const { jobId } = asked.request
  const error = { code: 'agent_lost', message: 'gone' } as const
  const record = { attempts: 1, tokens: 17, firstTokenAt: 1_500, agentId }
  const fallbacks = [newAgentId()]
  settlement.attemptLost({ ...asked, fallbacks }, { error, agentId }, record)
  const told = { jobId, agentId, attempts: 1, tokens: 17, fallbacks }
  expect(lost).toEqual([{ ...told, errorCode: 'agent_lost' }])
  await registry.flush()
  const [event] = await database.store.listHistory(agentId, 10)
  expect(event).toMatchObject({ type: 'failed_request', metadata: { code: 'agent_lost' } })
})

test('a request that has become poison ends with that word, and is counted', async () => {
  const { settlement, ended } = setUp()
  const asked = job()
  const error = { code: 'worker_died', message: 'killed' } as const
  for (const name of ['a', 'b']) {
    const { id } = await enrolled(database.store, { name })
    settlement.attemptFailed(asked, id, error)
  }
  const heard: InferenceEvent[] = []
  const served = { attempts: 2, firstTokenAt: null, agentId: null }
  settlement.settle(asked, served, { type: 'fail', error, usage, agentId: null }, event =>
    heard.push(event),
  )
  await settlement.drained()
  expect(heard).toMatchObject([{ type: 'failed', error: { code: 'request_quarantined' }, usage }])
  expect(ended).toMatchObject([{ errorCode: 'request_quarantined' }])
})

test('a request for an invented model leaves no row', async () => {
  const { settlement } = setUp()
  const error = { code: 'model_not_found', message: 'no' } as const
  const served = { attempts: 0, firstTokenAt: null, agentId: null }
  const heard: InferenceEvent[] = []
  settlement.settle(job(), served, { type: 'fail', error, usage, agentId: null }, event =>
    heard.push(event),
  )
  await settlement.drained()
  expect(heard).toMatchObject([{ type: 'failed', error }])
  expect(await database.store.usage()).toEqual([])
})
