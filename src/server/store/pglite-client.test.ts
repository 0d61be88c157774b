import { afterAll, beforeAll, beforeEach, expect, test } from 'bun:test'
import { createPgliteClient, type PgliteClient } from './pglite-client.ts'

let client: PgliteClient
beforeAll(async () => {
  client = createPgliteClient()
  await client.open(null)
  await client.query('create table t (n int primary key)')
}, 60_000)
beforeEach(() => client.query('truncate t').then(() => {}))
afterAll(() => client.close())

const insert = 'insert into t values ($1)'
const numbers = async () => (await client.query('select n from t order by n')).rows
const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => 'done',
    (problem: { code?: string; message: string }) => problem.code ?? problem.message,
  )

test('what is asked during a transaction waits for its end', async () => {
  const inside = Promise.withResolvers<void>()
  const goOn = Promise.withResolvers<void>()
  const transaction = client.transaction(async ({ query }) => {
    await query(insert, [1])
    inside.resolve()
    await goOn.promise
    await query('delete from t')
  })
  await inside.promise
  const seen = numbers()
  const second = client.transaction(({ query }) => query(insert, [2]))
  goOn.resolve()
  await Promise.all([transaction, second])
  expect(await seen).toEqual([])
  expect(await numbers()).toEqual([{ n: 2 }])
})

test('a transaction whose work rejects leaves nothing behind', async () => {
  const work = client.transaction(async ({ query }) => {
    await query(insert, [1])
    await query(insert, [1])
  })
  expect(await codeOf(work)).toBe('23505')
  expect(await numbers()).toEqual([])
})

test('a transaction that hides a failed statement is not taken for committed', async () => {
  const work = client.transaction(async ({ query }) => {
    await query(insert, [1])
    await codeOf(query(insert, [1]))
  })
  expect(await codeOf(work)).toContain('had failed')
  expect(await numbers()).toEqual([])
})

test('a thread that ended rejects what was asked and what is asked later', async () => {
  const other = createPgliteClient()
  const opening = codeOf(other.open(null))
  other.abandon()
  expect(await opening).toContain('closed')
  expect(await codeOf(other.query('select 1'))).toContain('closed')
})
