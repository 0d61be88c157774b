import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test'
import { emptyDatabase } from '../../../test/support/empty-database.ts'
import { openTestPglite, type TestStore } from '../../../test/support/pglite.ts'
import { enrolled, key } from '../../../test/support/store-fixtures.ts'
import type { ChatJob } from '../../protocol/chat-job.ts'
import type { Failure } from '../../protocol/errors.ts'
import { newAgentId, newJobId, type AgentId } from '../../protocol/ids.ts'
import type { InferenceEvent, InferenceRequest } from '../inference.ts'
import type { RequestRecord, Store } from '../store/store.ts'
import { RegistryWriter } from './registry-writer.ts'
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

function setUp(store: Store = database.store) {
  const errors: unknown[] = []
  const ended: RequestRecord[] = []
  const lost: LostAttempt[] = []
  const reliabilities = new Map<AgentId, number>()
  const outcomes: [AgentId, boolean][] = []
  const registry = new RegistryWriter(store, error => errors.push(error))
  const settlement = new Settlement({
    clock: { now: () => 2_000 },
    store,
    registry,
    reliabilityOf: id => reliabilities.get(id),
    setReliability: (id, value) => reliabilities.set(id, value),
    onOutcome: (...outcome) => void outcomes.push(outcome),
    onEnded: record => ended.push(record),
    onAttemptLost: attempt => lost.push(attempt),
    onError: error => errors.push(error),
  })
  return { errors, ended, lost, reliabilities, outcomes, registry, settlement }
}

const request = (): InferenceRequest => ({
  jobId: newJobId(),
  keyId: 'key-1',
  model: 'tiny',
  chat,
  receivedAt: 1_000,
})

test('usage is stored before the client hears the end', async () => {
  const { settlement } = setUp()
  const heard: Promise<readonly unknown[]>[] = []
  const onEvent = (event: InferenceEvent) => {
    expect(event).toEqual({ type: 'finished', reason: 'stop', usage })
    heard.push(database.store.usage())
  }
  const served = { attempts: 1, firstTokenAt: 1_500, agentId: null }
  settlement.settle(request(), served, { type: 'finish', reason: 'stop', usage }, onEvent)
  expect(heard).toEqual([])
  await settlement.drained()
  expect(await heard[0]).toMatchObject([{ requests: 1, ...usage }])
})

test('a client that left hears nothing, and what it got is counted', async () => {
  const { settlement, ended } = setUp()
  const served = { attempts: 1, firstTokenAt: null, agentId: null }
  const onEvent = () => expect.unreachable()
  settlement.settle(request(), served, { type: 'abandon', usage }, onEvent)
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
  settlement.settle(request(), served, ending, event => events.push(event))
  await settlement.drained()
  expect(events).toMatchObject([{ type: 'failed', error: { code: 'internal' } }])
  expect(errors).toMatchObject([{ message: 'disk full' }])
})

test('reliability is earned by completed requests, lost by the own failures, and kept', async () => {
  const { settlement, reliabilities, registry } = setUp()
  const { id } = await enrolled(database.store, { reliability: 0.3 })
  reliabilities.set(id, 0.3)
  const served = { attempts: 1, firstTokenAt: 1_500, agentId: id }
  settlement.settle(request(), served, { type: 'finish', reason: 'stop', usage }, () => {})
  expect(reliabilities.get(id)).toBeCloseTo(0.335)
  settlement.attemptFailed(newJobId(), id, { code: 'agent_refused', message: 'the owner plays' })
  expect(reliabilities.get(id)).toBeCloseTo(0.335)
  settlement.attemptFailed(newJobId(), id, { code: 'worker_died', message: 'killed' })
  expect(reliabilities.get(id)).toBeCloseTo(0.268)
  await settlement.drained()
  await registry.flush()
  expect((await database.store.getAgent(id))?.reliability).toBeCloseTo(0.268)
  const history = await database.store.listHistory(id, 10)
  expect(history.map(event => event.type).sort()).toEqual([
    'completed_request',
    'failed_request',
    'worker_died',
  ])
})

test('a lost attempt is told with the tokens that the next one goes on from, and counts against its agent', async () => {
  const { settlement, lost, registry } = setUp()
  const { id: agentId } = await enrolled(database.store)
  const { jobId } = request()
  const error = { code: 'agent_lost', message: 'gone' } as const
  const record = { attempts: 1, tokens: 17, firstTokenAt: 1_500, agentId }
  settlement.attemptLost(jobId, { type: 'retry', error, agentId }, record)
  expect(lost).toEqual([{ jobId, agentId, attempts: 1, tokens: 17, errorCode: 'agent_lost' }])
  await registry.flush()
  const [event] = await database.store.listHistory(agentId, 10)
  expect(event).toMatchObject({ type: 'failed_request', metadata: { code: 'agent_lost' } })
})

describe('the outcome of an inference', () => {
  const died = { code: 'worker_died', message: 'killed' } as const
  const a = newAgentId()
  const b = newAgentId()
  const end = (
    faults: readonly (readonly [AgentId, Failure])[],
    ending: Parameters<Settlement['settle']>[2]['type'],
  ) => {
    const { settlement, outcomes } = setUp()
    const asked = request()
    for (const [agentId, error] of faults) settlement.attemptFailed(asked.jobId, agentId, error)
    const served = { attempts: 2, firstTokenAt: null, agentId: b }
    const endings = {
      finish: { type: 'finish', reason: 'stop', usage },
      fail: { type: 'fail', error: died, usage, agentId: b },
      abandon: { type: 'abandon', usage },
    } as const
    settlement.settle(asked, served, endings[ending], () => {})
    return settlement.drained().then(() => outcomes)
  }

  test('is told of the one that completed it and of those that failed it before', async () => {
    expect(await end([[a, died]], 'finish')).toEqual([
      [a, false],
      [b, true],
    ])
  })

  test('is not told when the owner refused, the network broke or heat stopped it', async () => {
    const codes = ['agent_refused', 'agent_lost', 'overheated', 'prompt_too_long'] as const
    const faults = codes.map(code => [a, { code, message: '' }] as const)
    expect(await end(faults, 'finish')).toEqual([[b, true]])
  })

  test('is not told when the client left', async () => {
    expect(await end([], 'abandon')).toEqual([])
  })

  test('of a request that kills every machine says nothing about them; of one, something about it', async () => {
    expect(
      await end(
        [
          [a, died],
          [b, died],
        ],
        'fail',
      ),
    ).toEqual([])
    expect(await end([[a, died]], 'fail')).toEqual([[a, false]])
  })
})

test('a request for an invented model leaves no row', async () => {
  const { settlement } = setUp()
  const error = { code: 'model_not_found', message: 'no' } as const
  const served = { attempts: 0, firstTokenAt: null, agentId: null }
  const heard: InferenceEvent[] = []
  settlement.settle(request(), served, { type: 'fail', error, usage, agentId: null }, event =>
    heard.push(event),
  )
  await settlement.drained()
  expect(heard).toMatchObject([{ type: 'failed', error }])
  expect(await database.store.usage()).toEqual([])
})
