import { afterAll, beforeAll, beforeEach, expect, test } from 'bun:test'
import { adminEvent } from '../../../test/support/admin-events.ts'
import { emptyDatabase } from '../../../test/support/empty-database.ts'
import { openTestPglite, type TestStore } from '../../../test/support/pglite.ts'
import { eventsPendingMax, RegistryWriter } from './registry-writer.ts'

let database: TestStore
beforeAll(async () => {
  database = await openTestPglite()
}, 60_000)
afterAll(() => database.store.close())
beforeEach(() => emptyDatabase(database.db))

test('what the operator was told waits for a database that fails, in order, the newest of it', async () => {
  let failing = true
  const errors: unknown[] = []
  const store = {
    ...database.store,
    appendEvents: (...batch: Parameters<typeof database.store.appendEvents>) =>
      failing ? Promise.reject(new Error('disk full')) : database.store.appendEvents(...batch),
  }
  const registry = new RegistryWriter(store, error => errors.push(error))
  const tell = (count: number, from: number) => {
    for (let n = 0; n < count; n++) registry.event(adminEvent({ text: `${from + n}` }))
  }
  tell(2, 0)
  await registry.flush()
  expect(errors).toMatchObject([{ message: 'disk full' }])
  tell(eventsPendingMax - 1, 2)
  failing = false
  await registry.flush()
  const kept = await database.store.listEvents({ agentId: null, limitRows: 2 * eventsPendingMax })
  expect(kept).toHaveLength(eventsPendingMax)
  expect(kept.at(-1)?.text).toBe('1')
  expect(kept[0]?.text).toBe(`${eventsPendingMax}`)
})
