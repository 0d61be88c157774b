import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test'
import { emptyDatabase } from '../../../test/support/empty-database.ts'
import { openTestPglite, type TestStore } from '../../../test/support/pglite.ts'
import { chat } from '../../../test/support/scripted-agent.ts'
import { enrolled } from '../../../test/support/store-fixtures.ts'
import type { ErrorCode } from '../../protocol/errors.ts'
import { newAgentId, newJobId, type AgentId, type JobId } from '../../protocol/ids.ts'
import { AttemptOutcomes, deathsReportedMax, type JudgedJob } from './attempt-outcomes.ts'
import { PoisonWatch } from './poison-watch.ts'
import { RegistryWriter } from './registry-writer.ts'
import { ReliabilityWatch } from './reliability-watch.ts'
import { RequestContent } from './request-content.ts'

let database: TestStore
let bench: Awaited<ReturnType<typeof setUp>>
beforeAll(async () => {
  database = await openTestPglite()
}, 60_000)
afterAll(() => database.store.close())
beforeEach(async () => {
  await emptyDatabase(database.db)
  bench = await setUp()
})

const now = 2_000

/** Two agents at 0.3 whose attempts end as the test says; registry and store are real. */
async function setUp() {
  const told: [AgentId, boolean][] = []
  const poisons: { model: string; agentIds: readonly AgentId[] }[] = []
  const reliabilities = new Map<AgentId, number>()
  const late = new Set<AgentId>()
  let jobsThere: readonly JobId[] = []
  const registry = new RegistryWriter(database.store, error => {
    throw error
  })
  const reliability = new ReliabilityWatch({
    registry,
    tickIntervalMs: 1_000,
    onReliability: (id, value) => reliabilities.set(id, value),
  })
  const outcomes = new AttemptOutcomes({
    clock: { now: () => now },
    registry,
    reliability,
    poison: new PoisonWatch(new Uint8Array(32)),
    jobsOn: () => jobsThere,
    isPingLate: id => late.has(id),
    onOutcome: (...outcome) => void told.push(outcome),
    onPoison: (model, agentIds) => void poisons.push({ model, agentIds }),
  })
  const agent = async () => {
    const record = await enrolled(database.store, { reliability: 0.3 })
    reliabilities.set(record.id, reliability.admitted(record, now))
    return record.id
  }
  const [a, b] = [await agent(), await agent()]
  const fail = (
    asked: JudgedJob,
    agentId: AgentId,
    code: ErrorCode,
    there: readonly JobId[] = [asked.request.jobId],
  ) => {
    jobsThere = there
    outcomes.attemptFailed(asked, agentId, { code, message: '' })
  }
  const end = (asked: JudgedJob, completedBy: AgentId | null) =>
    outcomes.jobEnded(asked, completedBy, { promptTokens: 5, completionTokens: 7 })
  const historyOf = async (id: AgentId) => {
    await registry.flush()
    return (await database.store.listHistory(id, 20)).toReversed()
  }
  const of = (id: AgentId) => reliabilities.get(id) ?? Number.NaN
  return { outcomes, told, poisons, late, registry, a, b, fail, end, historyOf, of }
}

const job = (text: string = crypto.randomUUID()): JudgedJob => ({
  request: { jobId: newJobId(), model: 'tiny' },
  content: RequestContent.ofChat('tiny', { ...chat, messages: [{ role: 'user', content: text }] }),
})
const idOf = ({ request }: JudgedJob): JobId => request.jobId

test('reliability is earned by completed requests, lost by the own failures, and kept with its reasons', async () => {
  const { a, fail, end, of, historyOf, registry } = bench
  end(job(), a)
  expect(of(a)).toBeCloseTo(4 / 11)
  fail(job(), a, 'worker_died')
  expect(of(a)).toBeCloseTo(4 / 16)
  await registry.flush()
  const kept = await database.store.getAgent(a)
  expect(kept?.reliability).toBeCloseTo(4 / 16)
  expect(kept?.reliabilityRecord).toMatchObject({ completed: 1, failed: 1 })
  expect(await historyOf(a)).toMatchObject([
    { type: 'completed_request', metadata: { model: 'tiny', before: 0.3, after: 0.3636 } },
    {
      type: 'worker_died',
      metadata: { code: 'worker_died', cause: 'node', before: 0.3636, after: 0.25 },
    },
  ])
})

test('only what was the machine’s own doing costs it, and the history says whose doing it was', async () => {
  const { a, fail, late, of, told, historyOf } = bench
  const codes = [
    'agent_refused',
    'agent_lost',
    'overheated',
    'prompt_too_long',
    'model_unloaded',
  ] as const
  for (const code of codes) fail(job(), a, code)
  late.add(a)
  fail(job(), a, 'timeout')
  expect(of(a)).toBe(0.3)
  const history = await historyOf(a)
  expect(history.map(({ metadata }) => metadata['cause'])).toEqual([
    'rules',
    'network',
    'heat',
    'request',
    'server',
    'network',
  ])
  expect(told).toEqual([])
})

describe('the outcome of an inference', () => {
  test('is told of the one that completed it and of those that failed it before', () => {
    const { a, b, fail, end, told } = bench
    const asked = job()
    fail(asked, a, 'internal')
    end(asked, b)
    expect(told).toEqual([
      [a, false],
      [b, true],
    ])
  })

  test('is not told when the client left', () => {
    bench.end(job(), null)
    expect(bench.told).toEqual([])
  })

  test('of a request that every machine fails says nothing about them; of one, something about it', () => {
    const { a, b, fail, end, told } = bench
    const failed = job()
    fail(failed, a, 'internal')
    fail(failed, b, 'internal')
    end(failed, null)
    expect(told).toEqual([])
    const once = job()
    fail(once, a, 'internal')
    end(once, null)
    expect(told).toEqual([[a, false]])
  })
})

describe('a worker that dies', () => {
  test('with several jobs in it is one death', () => {
    const { a, fail, of } = bench
    const jobs = [job(), job(), job()]
    const there = jobs.map(idOf)
    for (const each of jobs) fail(each, a, 'worker_died', there)
    expect(of(a)).toBeCloseTo(3 / 15)
    const next = job()
    fail(next, a, 'worker_died', [idOf(next)])
    expect(of(a)).toBeCloseTo(3 / 20)
  })

  test('with jobs that are never reported is forgotten in the end', () => {
    const { fail, outcomes } = bench
    for (let n = 0; n < deathsReportedMax + 10; n++) {
      const reported = job()
      fail(reported, newAgentId(), 'worker_died', [idOf(reported), newJobId()])
    }
    expect(outcomes.deathsOpen).toBe(deathsReportedMax)
  })

  test('of a request that ends another machine’s worker too costs neither machine anything', async () => {
    const { a, b, fail, end, of, told, poisons, historyOf, outcomes } = bench
    const poison = job()
    fail(poison, a, 'worker_died')
    expect(of(a)).toBeCloseTo(0.2)
    fail(poison, b, 'worker_hung')
    end(poison, null)
    expect([of(a), of(b)]).toEqual([0.3, 0.3])
    expect(told).toEqual([])
    expect(poisons).toEqual([{ model: 'tiny', agentIds: [a, b] }])
    expect(outcomes.quarantine(poison)).toMatchObject({ code: 'request_quarantined' })
    expect(await historyOf(a)).toMatchObject([
      { type: 'worker_died', metadata: { cause: 'node', after: 0.2 } },
      { type: 'fault_taken_back', metadata: { cause: 'request', before: 0.2, after: 0.3 } },
    ])
    expect(await historyOf(b)).toMatchObject([
      { type: 'worker_died', metadata: { cause: 'request' } },
    ])
  })

  test('of a request that comes again as another job is known by what was asked', () => {
    const { a, b, fail, end, of, outcomes } = bench
    const first = job('boom')
    fail(first, a, 'worker_died')
    end(first, null)
    const again = job('boom')
    fail(again, b, 'worker_died')
    expect([of(a), of(b)]).toEqual([0.3, 0.3])
    expect(outcomes.quarantine(job('boom'))).not.toBeNull()
    expect(outcomes.quarantine(job('hello'))).toBeNull()
  })

  test('by poison with others beside it costs nothing either, whoever is reported first', () => {
    for (const poisonFirst of [true, false]) {
      const { a, b, fail, of } = bench
      const poison = job(`boom ${poisonFirst}`)
      const bystander = job()
      fail(poison, a, 'worker_died')
      const jobs = poisonFirst ? [poison, bystander] : [bystander, poison]
      for (const each of jobs) fail(each, b, 'worker_died', jobs.map(idOf))
      expect([of(a), of(b)]).toEqual([0.3, 0.3])
    }
  })

  test('again and again of one request on one machine costs that machine once', () => {
    const { a, fail, of, outcomes } = bench
    const asked = job()
    fail(asked, a, 'worker_died')
    fail(asked, a, 'worker_died')
    expect(of(a)).toBeCloseTo(0.2)
    expect(outcomes.quarantine(asked)).not.toBeNull()
  })

  test('while a request that then completes elsewhere was in it is its machine’s fault', () => {
    const { a, b, fail, end, of, told } = bench
    const asked = job('hello')
    fail(asked, a, 'worker_died')
    end(asked, b)
    const again = job('hello')
    fail(again, b, 'worker_died')
    expect(of(a)).toBeCloseTo(0.2)
    expect(of(b)).toBeCloseTo(4 / 16)
    expect(told[0]).toEqual([a, false])
  })
})
