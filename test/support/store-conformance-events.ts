import { expect, test } from 'bun:test'
import { newAgentId } from '../../src/protocol/ids.ts'
import type { Store } from '../../src/server/store/store.ts'
import { adminEvent } from './admin-events.ts'
import { enrolled, start } from './store-fixtures.ts'
import type { StoreRows } from './store-rows.ts'

/** The part of the store's promises that is about what the operator was told; see `storeConformance`. */
export function eventPromises(store: () => Store, rows: () => StoreRows): void {
  const all = () => store().listEvents({ agentId: null, limitRows: 100 })
  const keep = { requestsEnded: 0, history: 0, joinTokensExpired: 0 }

  test('come back as they were told, newest first, up to the limit', async () => {
    const { id: agentId } = await enrolled(store())
    const first = adminEvent({ agentId, agentName: 'den', times: 3 })
    const second = adminEvent({ severity: 'critical', type: 'database_failing', model: null })
    const third = adminEvent({ at: start - 1, severity: 'info', type: 'agent_back' })
    await store().appendEvents([first, second, third])
    expect(await all()).toEqual([second, first, third])
    expect(await store().listEvents({ agentId: null, limitRows: 1 })).toEqual([second])
    expect(await store().listEvents({ agentId, limitRows: 9 })).toEqual([first])
    expect(await store().listEvents({ agentId: newAgentId(), limitRows: 9 })).toEqual([])
  })

  test('outlive their agent, and one of an agent that is gone already is kept', async () => {
    const { id: agentId } = await enrolled(store())
    await store().appendEvents([adminEvent({ agentId, agentName: 'den' })])
    await rows().removeAgent(agentId)
    await store().appendEvents([adminEvent({ agentId, agentName: 'den', at: start + 1 })])
    const kept = await all()
    expect(kept.map(event => event.agentId)).toEqual([null, null])
    expect(kept.map(event => event.agentName)).toEqual(['den', 'den'])
  })

  test('hostile texts are data', async () => {
    const text = "'; drop table events; -- \\ nul \0 half \ud83d"
    await store().appendEvents([adminEvent({ text, agentName: text, model: text })])
    const kept = "'; drop table events; -- \\ nul \ufffd half \ufffd"
    expect(await all()).toMatchObject([{ text: kept, agentName: kept, model: kept }])
  })

  test('are pruned by age, and by number however young they are', async () => {
    const numbered = [1, 2, 3, 4, 5].map(n => adminEvent({ at: start + n, text: `${n}` }))
    await store().appendEvents(numbered)
    await store().prune({ ...keep, events: start + 2, eventsMax: 10 })
    expect((await all()).map(({ text }) => text)).toEqual(['5', '4', '3', '2'])
    await store().prune({ ...keep, events: 0, eventsMax: 2 })
    expect((await all()).map(({ text }) => text)).toEqual(['5', '4'])
  })

  test('an empty batch is no error', () => store().appendEvents([]))
}
