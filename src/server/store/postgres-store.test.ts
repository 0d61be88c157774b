import { afterAll, describe, expect, test } from 'bun:test'
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { drizzle } from 'drizzle-orm/postgres-js'
import postgres from 'postgres'
import { startPostgres } from '../../../test/support/postgres.ts'
import { storeConformance } from '../../../test/support/store-conformance.ts'
import { request } from '../../../test/support/store-fixtures.ts'
import { rowsOf } from '../../../test/support/store-rows.ts'
import { errorCodeOf } from './database.ts'
import { migrate, migrationsFolder } from './migrate.ts'
import { openStore } from './open-store.ts'
import { openPostgresStore } from './postgres-store.ts'
import { isStoreRefusal, type OpenedStore } from './store-refusal.ts'
import type { Store } from './store.ts'

const server = await startPostgres()
afterAll(() => server?.stop())

function open(result: OpenedStore): Store {
  if (isStoreRefusal(result)) throw new Error(result.message)
  return result
}

const createDatabase = async (name: string): Promise<string> => {
  if (server === undefined) throw new Error('this test needs PostgreSQL')
  return server.createDatabase(name)
}

describe.skipIf(server === undefined)('the store on PostgreSQL', () => {
  storeConformance(async () => {
    const url = await createDatabase('conformance')
    const store = open(await openStore({ databaseUrl: url, dataDir: '/nowhere' }))
    const client = postgres(url, { max: 1 })
    const close = async () => {
      await client.end()
      await store.close()
    }
    return { rows: rowsOf(drizzle({ client })), store: { ...store, close } }
  })
})

describe.skipIf(server === undefined)('opening PostgreSQL', () => {
  test('four servers that start at once on an empty database migrate it once', async () => {
    const url = await createDatabase('empty')
    const opened = await Promise.all(Array.from({ length: 4 }, () => openPostgresStore(url)))
    const stores = opened.map(open)
    await Promise.all(stores.map(store => store.settleRequest(request())))
    expect(await stores[0]!.usage()).toMatchObject([{ requests: 4 }])
    const sql = postgres(url, { max: 1 })
    const applied = await sql`select hash from drizzle.__drizzle_migrations`
    expect(new Set(applied.map(row => row['hash'])).size).toBe(applied.length)
    await Promise.all([...stores.map(store => store.close()), sql.end()])
  })

  test('a database of a later version is refused', async () => {
    const url = await createDatabase('later')
    await open(await openPostgresStore(url)).close()
    const sql = postgres(url, { max: 1 })
    await sql`insert into drizzle.__drizzle_migrations (hash, created_at) values ('x', ${Date.UTC(2100, 0)})`
    await sql.end()
    expect(await openPostgresStore(url)).toMatchObject({ code: 'schema_newer' })
  })

  test('an upgrade applies what is new, and one that fails changes nothing', async () => {
    const url = await createDatabase('upgraded')
    const client = postgres(url, { max: 1, connection: { client_min_messages: 'error' } })
    const db = drizzle({ client })
    await migrate(db)
    const folder = mkdtempSync(join(tmpdir(), 'gpupool-migrations-'))
    cpSync(migrationsFolder(), folder, { recursive: true })
    const journalPath = join(folder, 'meta', '_journal.json')
    const journal = await Bun.file(journalPath).json()
    const when = journal.entries.at(-1).when + 1
    journal.entries.push({ idx: 99, version: '7', when, tag: 'next', breakpoints: true })
    await Bun.write(journalPath, JSON.stringify(journal))
    const next = (statement: string) =>
      Bun.write(join(folder, 'next.sql'), `create table added ();${statement}`)

    await next('--> statement-breakpoint\nselect no_such_thing')
    expect(await migrate(db, folder).catch(errorCodeOf)).toBe('42703')
    await next('')
    expect(await migrate(db, folder)).toBe('up_to_date')
    expect(await client`select * from added`).toHaveLength(0)
    expect(await migrate(db)).toBe('schema_newer')
    await client.end()
    rmSync(folder, { recursive: true })
  })

  test('reads instants whatever time zone and date style the server has', async () => {
    const url = await createDatabase('elsewhere')
    const sql = postgres(url, { max: 1 })
    await sql`alter database elsewhere set timezone to 'Asia/Kolkata'`
    await sql`alter database elsewhere set datestyle to 'German'`
    await sql.end()
    const store = open(await openPostgresStore(url))
    const createdAt = Date.UTC(2026, 5, 7, 8, 9, 10, 11)
    const secretHash = new Uint8Array(32)
    await store.createKey({
      id: 'k',
      name: 'k',
      secretHash,
      scopes: [],
      createdAt,
      revokedAt: null,
    })
    expect((await store.getKey('k'))?.createdAt).toBe(createdAt)
    await store.close()
  })

  test('a wrong password, a missing database and a user without rights are told apart', async () => {
    const url = new URL(await createDatabase('guarded'))
    const secret = 'hunter2-hunter2'
    const as = (change: { username?: string; password?: string; pathname?: string }) =>
      openPostgresStore(Object.assign(new URL(url.href), change).href)

    const wrong = await as({ password: secret })
    expect(wrong).toMatchObject({ code: 'login_refused' })
    expect(JSON.stringify(wrong)).not.toContain(secret)
    expect(await as({ pathname: '/absent' })).toMatchObject({ code: 'database_missing' })

    const sql = postgres(url.href, { max: 1 })
    await sql.unsafe(`create role guest login password '${secret}'`)
    await sql.end()
    const guest = await as({ username: 'guest', password: secret })
    expect(guest).toMatchObject({ code: 'not_permitted' })
    expect(JSON.stringify(guest)).not.toContain(secret)
  })
})

test('a server that is not there is refused', async () => {
  const listener = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data() {} } })
  const { port } = listener
  listener.stop(true)
  const refusal = await openPostgresStore(`postgres://me:hunter2@127.0.0.1:${port}/db`)
  expect(refusal).toMatchObject({ code: 'unreachable' })
  expect(JSON.stringify(refusal)).not.toContain('hunter2')
})

test.each(['postgres://me:hunter2@host:port/db', 'mysql://me:hunter2@host/db', 'hunter2'])(
  '%s is refused as a URL without being repeated',
  async url => {
    const refusal = await openPostgresStore(url)
    expect(refusal).toMatchObject({ code: 'url_invalid' })
    expect(JSON.stringify(refusal)).not.toContain('hunter2')
  },
)
