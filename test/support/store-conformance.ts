import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test'
import { newAgentId } from '../../src/protocol/ids.ts'
import { newReliabilityRecord } from '../../src/scheduler/reliability.ts'
import type { Store } from '../../src/server/store/store.ts'
import { eventPromises } from './store-conformance-events.ts'
import {
  keyPromises,
  modelPromises,
  parallelSettlePromises,
  prunePromises,
  requestPromises,
} from './store-conformance-records.ts'
import {
  enrolled,
  enrolment,
  hashOf,
  historyEvent,
  inventory,
  joinToken,
  key,
  minuteMs,
  model,
  newAgent,
  rejects,
  request,
  start,
} from './store-fixtures.ts'
import type { ConformingStore } from './store-rows.ts'

/** Texts that break careless SQL, encodings or both, and what a store keeps of them. */
const hostileTexts: readonly (readonly [given: string, kept: string])[] = [
  ["'; drop table agents; --", "'; drop table agents; --"],
  ['$1 %s \\ \\\\ " {a,b} NULL', '$1 %s \\ \\\\ " {a,b} NULL'],
  ['\\u0000 written out', '\\u0000 written out'],
  ['nul \0 inside', 'nul \ufffd inside'],
  ['half a pair \ud83d', 'half a pair \ufffd'],
  ['whole pair 😀, ﷽, e\u0301\r\n\t', 'whole pair 😀, ﷽, e\u0301\r\n\t'],
  ['', ''],
]

/** The promises of `Store`, for every implementation. `open` may be slow: it is called once. */
export function storeConformance(open: () => Promise<ConformingStore>): void {
  let opened: ConformingStore
  const store = (): Store => opened.store
  beforeAll(async () => {
    opened = await open()
  }, 60_000)
  beforeEach(() => opened.rows.empty())
  afterAll(() => opened.store.close())

  describe('enrolment', () => enrolmentPromises(store))
  describe('agents', () => agentPromises(store))
  describe('heartbeats', () => heartbeatPromises(store))
  describe('history', () => historyPromises(store))
  describe('events', () => eventPromises(store, () => opened.rows))
  describe('keys', () => keyPromises(store))
  describe('models', () => modelPromises(store))
  describe('requests', () => requestPromises(store, () => opened.rows))
  describe('requests that end together', () => parallelSettlePromises(store))
  describe('pruning', () => prunePromises(store, () => opened.rows))
  describe('hostile texts', () => hostilePromises(store))
  test('ping answers', () => store().ping())
}

function enrolmentPromises(store: () => Store): void {
  test('creates the agent as given, offline and without a heartbeat', async () => {
    await store().createJoinToken(joinToken())
    const agent = newAgent()
    const outcome = await store().enrolAgent(enrolment({ agent, now: start + 1 }))
    expect(outcome).toEqual({
      ...agent,
      status: 'offline',
      adminState: 'active',
      lastHeartbeatAt: null,
      enrolledAt: start + 1,
      health: null,
      reliabilityRecord: null,
    })
    expect(await store().getAgent(agent.id)).toEqual(outcome as never)
  })

  test('leaves the agent pending unless the token approves', async () => {
    await store().createJoinToken(joinToken({ autoApprove: false }))
    expect(await store().enrolAgent(enrolment())).toMatchObject({ adminState: 'pending' })
  })

  test('of 20 parallel uses of the last use, one wins', async () => {
    await store().createJoinToken(joinToken({ usesLeft: 1 }))
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, () => store().enrolAgent(enrolment({ agent: newAgent() }))),
    )
    expect(outcomes.filter(outcome => outcome === 'token_used_up')).toHaveLength(19)
    expect(await store().listAgents()).toHaveLength(1)
  })

  test('a token of several uses admits exactly that many', async () => {
    await store().createJoinToken(joinToken({ usesLeft: 3 }))
    const outcomes = await Promise.all(
      Array.from({ length: 8 }, () => store().enrolAgent(enrolment({ agent: newAgent() }))),
    )
    expect(outcomes.filter(outcome => typeof outcome === 'object')).toHaveLength(3)
  })

  test('an unknown token, a wrong secret and one of another length are the same, and use nothing up', async () => {
    await store().createJoinToken(joinToken())
    const wrong = [
      enrolment({ tokenId: 'token-2' }),
      enrolment({ tokenSecretHash: hashOf('guess') }),
      enrolment({ tokenSecretHash: new Uint8Array(3) }),
    ]
    for (const attempt of wrong) expect(await store().enrolAgent(attempt)).toBe('token_unknown')
    expect(await store().enrolAgent(enrolment())).toBeObject()
  })

  test('a token ends at its last instant, also when it has uses left', async () => {
    await store().createJoinToken(joinToken({ usesLeft: 2, expiresAt: start + minuteMs }))
    const at = (now: number) => store().enrolAgent(enrolment({ agent: newAgent(), now }))
    expect(await at(start + minuteMs - 1)).toBeObject()
    expect(await at(start + minuteMs)).toBe('token_expired')
  })

  test('an enrolment that fails gives its use back', async () => {
    await store().createJoinToken(joinToken())
    const { id } = await enrolled(store())
    const twin = enrolment({ agent: newAgent({ id }) })
    expect(await rejects(store().enrolAgent(twin))).toBe(true)
    expect(await store().enrolAgent(enrolment())).toBeObject()
  })
}

function agentPromises(store: () => Store): void {
  test('are listed in the order in which they came', async () => {
    const later = await enrolled(store(), {}, start + 2)
    const earlier = await enrolled(store(), {}, start + 1)
    expect(await store().listAgents()).toEqual([earlier, later])
  })

  test('an unknown one is undefined, and changing it is no error', async () => {
    const id = newAgentId()
    expect(await store().getAgent(id)).toBeUndefined()
    expect(await store().setAgentAdminState(id, 'active')).toBe(false)
    await store().setAgentStatus(id, 'online')
  })

  test('keep every change, each apart from the others', async () => {
    const agent = await enrolled(store())
    const bystander = await enrolled(store(), {}, start + 1)
    const capabilities = { ...inventory, hostname: 'attic-pc' }
    await store().updateAgentCapabilities(agent.id, capabilities, null)
    await store().setAgentStatus(agent.id, 'degraded')
    const reliabilityRecord = newReliabilityRecord(start, 0.875)
    await store().setAgentReliability(agent.id, 0.875, reliabilityRecord)
    const health = {
      thermal: { 'GPU-"1': { events: [start], lastHotAt: start } },
      errors: { steps: [{ startsAt: start, ok: 3, failed: 1 }] },
    }
    await store().setAgentHealth(agent.id, health)
    expect(await store().setAgentAdminState(agent.id, 'draining')).toBe(true)
    expect(await store().listAgents()).toEqual([
      {
        ...agent,
        capabilities,
        region: null,
        status: 'degraded',
        reliability: 0.875,
        reliabilityRecord,
        adminState: 'draining',
        health,
      },
      bystander,
    ])
  })

  test.each([-0.01, 1.01, Number.NaN])('a reliability of %p is refused', async reliability => {
    const agent = await enrolled(store())
    const set = store().setAgentReliability(agent.id, reliability, newReliabilityRecord(start))
    expect(await rejects(set)).toBe(true)
    expect((await store().getAgent(agent.id))?.reliability).toBe(agent.reliability)
  })
}

function heartbeatPromises(store: () => Store): void {
  const lastHeartbeats = async () => (await store().listAgents()).map(one => one.lastHeartbeatAt)

  test('one batch moves many agents, and strangers in it are no error', async () => {
    const a = await enrolled(store(), {}, start)
    const b = await enrolled(store(), {}, start + 1)
    await enrolled(store(), {}, start + 2)
    await store().recordHeartbeats([
      { id: a.id, at: start + 10 },
      { id: newAgentId(), at: start + 11 },
      { id: b.id, at: start + 12 },
    ])
    expect(await lastHeartbeats()).toEqual([start + 10, start + 12, null])
  })

  test('never run backwards, within a batch or between batches', async () => {
    const { id } = await enrolled(store())
    await store().recordHeartbeats([
      { id, at: start + 30 },
      { id, at: start + 50 },
      { id, at: start + 40 },
    ])
    await store().recordHeartbeats([{ id, at: start + 45 }])
    expect(await lastHeartbeats()).toEqual([start + 50])
  })

  test('batches over the same agents in opposite order do not block each other', async () => {
    const agents = await Promise.all(Array.from({ length: 30 }, () => enrolled(store())))
    const beats = agents.map(({ id }, index) => ({ id, at: start + index }))
    await Promise.all(
      Array.from({ length: 10 }, (_, round) =>
        store().recordHeartbeats(round % 2 === 0 ? beats : beats.toReversed()),
      ),
    )
    expect((await lastHeartbeats()).toSorted()).toEqual(beats.map(({ at }) => at).toSorted())
  })

  test('fractions of a millisecond are rounded', async () => {
    const { id } = await enrolled(store())
    await store().recordHeartbeats([{ id, at: start + 10.6 }])
    expect(await lastHeartbeats()).toEqual([start + 11])
  })

  test('an empty batch is no error', () => store().recordHeartbeats([]))
}

function historyPromises(store: () => Store): void {
  test('comes newest first, up to the limit, of one agent only', async () => {
    const { id } = await enrolled(store())
    const other = await enrolled(store())
    const events = [3, 1, 2].map(n => historyEvent(id, start + n, { n }))
    await store().appendHistory([...events, historyEvent(other.id, start + 9)])
    expect(await store().listHistory(id, 2)).toEqual([events[0], events[2]] as never)
    expect(await store().listHistory(id, 10)).toHaveLength(3)
  })

  test('events of one millisecond keep the order in which they were appended', async () => {
    const { id } = await enrolled(store())
    const numbered = (n: number) => historyEvent(id, start, { n })
    await store().appendHistory([1, 2, 3].map(numbered))
    await store().appendHistory([4, 5].map(numbered))
    const history = await store().listHistory(id, 10)
    expect(history.map(({ metadata }) => metadata['n'])).toEqual([5, 4, 3, 2, 1])
  })

  test('takes what concerns an agent’s health and reliability', async () => {
    const { id } = await enrolled(store())
    const types = [
      'thermal_event',
      'became_unhealthy',
      'became_healthy',
      'reliability_changed',
      'fault_taken_back',
    ] as const
    const events = types.map((type, n) => ({ ...historyEvent(id, start + n), type }))
    await store().appendHistory(events)
    expect(await store().listHistory(id, 10)).toEqual(events.toReversed())
  })

  test('20,000 events fit into one batch', async () => {
    const { id } = await enrolled(store())
    await store().appendHistory(
      Array.from({ length: 20_000 }, (_, n) => historyEvent(id, start + n, { n })),
    )
    const newest = await store().listHistory(id, 1)
    expect(newest).toEqual([historyEvent(id, start + 19_999, { n: 19_999 })])
  })

  test('a batch with an unknown agent is refused whole', async () => {
    const { id } = await enrolled(store())
    const batch = [historyEvent(id, start), historyEvent(newAgentId(), start)]
    expect(await rejects(store().appendHistory(batch))).toBe(true)
    expect(await store().listHistory(id, 10)).toEqual([])
  })

  test('an empty batch is no error', () => store().appendHistory([]))
}

function hostilePromises(store: () => Store): void {
  test.each(hostileTexts)('%j is data in a key', async (given, kept) => {
    const hostile = key({ id: `id ${given}`, name: given })
    await store().createKey(hostile)
    expect(await store().listKeys()).toEqual([{ ...hostile, id: `id ${kept}`, name: kept }])
    expect((await store().getKey(`id ${given}`))?.name).toBe(kept)
    expect(await store().getKey(given)).toBeUndefined()
    expect(await store().revokeKey(given, start)).toBe(false)
  })

  test.each(hostileTexts)('%j is data in an agent', async (given, kept) => {
    const capabilities = { ...inventory, hostname: given, [`field ${given}`]: given }
    const { id } = await enrolled(store(), { name: given, region: given, capabilities })
    expect(await store().getAgent(id)).toMatchObject({
      name: kept,
      region: kept,
      capabilities: { ...inventory, hostname: kept, [`field ${kept}`]: kept },
    })
    await store().appendHistory([historyEvent(id, start, { why: given })])
    expect(await store().listHistory(id, 1)).toEqual([historyEvent(id, start, { why: kept })])
    await store().updateAgentCapabilities(id, inventory, given)
    expect((await store().getAgent(id))?.region).toBe(kept)
  })

  test.each(hostileTexts)('%j is data in a model and a request', async (given, kept) => {
    await store().addModel(model('m', { source: { kind: 'path', path: given } }))
    expect((await store().getModel('m'))?.source).toEqual({ kind: 'path', path: kept })
    expect(await store().getModel(given)).toBeUndefined()
    expect(await store().removeModel(given)).toBe(false)
    await store().settleRequest(request({ keyId: given, model: given, finishReason: given }))
    expect(await store().usage()).toMatchObject([{ keyId: kept, keyName: kept, model: kept }])
  })
}
