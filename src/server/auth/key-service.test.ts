import { afterAll, beforeAll, beforeEach, expect, test } from 'bun:test'
import { emptyDatabase } from '../../../test/support/empty-database.ts'
import { openTestPglite, type TestStore } from '../../../test/support/pglite.ts'
import { start } from '../../../test/support/store-fixtures.ts'
import { isFailure } from '../http-error.ts'
import type { KeyRecord, Store } from '../store/store.ts'
import { KeyService } from './key-service.ts'

const clock = { now: () => start }
const adminKey = 'the-operators-own-key'
let database: TestStore
let reads = 0
/** The real store; counts what a key costs. */
let store: Store
let keys: KeyService

beforeAll(async () => {
  database = await openTestPglite()
}, 60_000)
afterAll(() => database.store.close())
beforeEach(async () => {
  await emptyDatabase(database.db)
  reads = 0
  store = {
    ...database.store,
    getKey: id => {
      reads++
      return database.store.getKey(id)
    },
  }
  keys = new KeyService({ store, clock, adminKey })
})

const bearer = (key: string) => new Headers({ authorization: `Bearer ${key}` })
const accepts = async (key: string) => !isFailure(await keys.authenticate(bearer(key)))

test('a new key is accepted by either header, with its own scopes, and costs one query however often it is used', async () => {
  const { key, record } = await keys.create({ name: 'x', scopes: ['infer'] })
  const caller = { keyId: record.id, scopes: ['infer'] as const }
  expect(await keys.authenticate(bearer(key))).toEqual(caller)
  expect(await keys.authenticate(new Headers({ authorization: `bearer  ${key} ` }))).toEqual(caller)
  expect(await keys.authenticate(new Headers({ 'x-api-key': key }))).toEqual(caller)
  expect(reads).toBe(1)
})

test('the operator’s key has every scope and no row', async () => {
  expect(await keys.authenticate(bearer(adminKey))).toEqual({
    keyId: 'admin',
    scopes: ['infer', 'infer:priority', 'models:read', 'admin'],
  })
  expect(await keys.list()).toEqual([])
  expect(reads).toBe(0)
})

test('the key itself is not in the store', async () => {
  const { key } = await keys.create({ name: 'x', scopes: ['infer'] })
  const [record] = await store.listKeys()
  // A secret may have an underscore of its own.
  const secret = key.split('_').slice(2).join('_')
  expect(secret).not.toBe('')
  expect(JSON.stringify(record)).not.toContain(secret)
  expect(record!.secretHash).toHaveLength(32)
})

test('garbage costs no query', async () => {
  const { key } = await keys.create({ name: 'x', scopes: ['infer'] })
  const last = key.endsWith('0') ? '1' : '0'
  for (const wrong of [
    '',
    'x',
    key.slice(0, -1) + last,
    key.toUpperCase(),
    `${key}x`,
    key.replace('gpk', 'gpa'),
  ])
    expect(await accepts(wrong)).toBe(false)
  expect(reads).toBe(0)
})

test('a well-formed key that nobody made is refused', async () => {
  const { key } = await keys.create({ name: 'x', scopes: ['infer'] })
  await emptyDatabase(database.db)
  expect(await accepts(key)).toBe(false)
})

test('the right id with another secret is refused', async () => {
  const mine = await keys.create({ name: 'x', scopes: ['infer'] })
  const other = await keys.create({ name: 'y', scopes: ['infer'] })
  await emptyDatabase(database.db)
  await store.createKey({ ...other.record, id: mine.record.id })
  expect(await accepts(mine.key)).toBe(false)
})

test('a revoked key is refused from the next request on, although it was in use', async () => {
  const { key, record } = await keys.create({ name: 'x', scopes: ['infer'] })
  expect(await accepts(key)).toBe(true)
  expect(await keys.revoke(record.id)).toBe(true)
  expect(await accepts(key)).toBe(false)
  expect(await keys.revoke(record.id)).toBe(false)
})

test('a read that began before a revocation does not bring the key back', async () => {
  const { key, record } = await keys.create({ name: 'x', scopes: ['infer'] })
  const answers = [Promise.withResolvers<KeyRecord | undefined>()]
  const slowStore: Store = {
    ...store,
    getKey: id => answers.shift()?.promise ?? database.store.getKey(id),
  }
  const slow = new KeyService({ store: slowStore, clock, adminKey })
  const [{ resolve }] = answers as [PromiseWithResolvers<KeyRecord | undefined>]
  const during = slow.authenticate(bearer(key))
  await slow.revoke(record.id)
  resolve(record)
  await during
  expect(isFailure(await slow.authenticate(bearer(key)))).toBe(true)
})
