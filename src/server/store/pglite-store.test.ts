import { afterAll, describe, expect, test } from 'bun:test'
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'drizzle-orm'
import { openTestPglite } from '../../../test/support/pglite.ts'
import { storeConformance } from '../../../test/support/store-conformance.ts'
import { key, start } from '../../../test/support/store-fixtures.ts'
import { rowsOf } from '../../../test/support/store-rows.ts'
import { createPgliteClient } from './pglite-client.ts'
import { drizzleOver, openPgliteStore } from './pglite-store.ts'
import { isStoreRefusal, type OpenedStore } from './store-refusal.ts'
import type { Store } from './store.ts'

const bootTimeoutMs = 60_000

describe('the store on PGlite', () =>
  storeConformance(async () => {
    const { store, db } = await openTestPglite()
    return { store, rows: rowsOf(db) }
  }))

const root = mkdtempSync(join(tmpdir(), 'gpupool-store-'))
afterAll(() => rmSync(root, { recursive: true }))

function open(result: OpenedStore): Store {
  if (isStoreRefusal(result)) throw new Error(result.message)
  return result
}

/** Starts the writer and resolves when it has had `acknowledgedMin` writes acknowledged. */
async function startWriter(dataDir: string, prefix: string, acknowledgedMin: number) {
  const script = join(import.meta.dir, '..', '..', '..', 'test', 'support', 'store-writer.ts')
  const child = Bun.spawn([process.execPath, script, dataDir, prefix], {
    stdout: 'pipe',
    stderr: 'inherit',
  })
  const reader = child.stdout.getReader()
  const decoder = new TextDecoder()
  let text = ''
  /** @returns false at the end of the output */
  const readMore = async () => {
    const { done, value } = await reader.read()
    text += decoder.decode(value, { stream: true })
    return !done
  }
  const acknowledged = () => text.split('\n').slice(0, -1)
  while (acknowledged().length < acknowledgedMin && (await readMore()));
  return {
    pid: child.pid,
    /** @returns everything that it had been told is stored */
    async kill(): Promise<readonly string[]> {
      child.kill('SIGKILL')
      await child.exited
      while (await readMore());
      return acknowledged()
    },
  }
}

// One story in one directory, since every first start of PGlite takes seconds.
describe('a data directory', () => {
  const dataDir = join(root, 'data')

  test(
    'survives a first start that was cut short, has one owner, and loses nothing acknowledged to kill -9',
    async () => {
      mkdirSync(join(dataDir, 'pglite', 'base'), { recursive: true })
      writeFileSync(join(dataDir, 'pglite', 'PG_VERSION'), '18\n')

      const acknowledged: string[] = []
      for (const prefix of ['first', 'second']) {
        const writer = await startWriter(dataDir, prefix, 50)
        expect(await openPgliteStore(dataDir)).toMatchObject({ code: 'locked', pid: writer.pid })
        acknowledged.push(...(await writer.kill()))
      }
      const store = open(await openPgliteStore(dataDir))
      const stored = new Set((await store.listKeys()).map(({ id }) => id))
      expect(acknowledged.filter(id => !stored.has(id))).toEqual([])
      expect(acknowledged.length).toBeGreaterThanOrEqual(100)
      expect(await openPgliteStore(dataDir)).toMatchObject({ code: 'locked', pid: process.pid })
      await store.close()
    },
    bootTimeoutMs,
  )

  test(
    'opens again after it was closed, and closing twice is no error',
    async () => {
      const store = open(await openPgliteStore(dataDir))
      await store.createKey(key({ id: 'kept' }))
      await Promise.all([store.close(), store.close()])
      expect(await store.ping().catch((problem: Error) => String(problem.cause))).toContain(
        'closed',
      )

      const again = open(await openPgliteStore(dataDir))
      expect((await again.getKey('kept'))?.createdAt).toBe(start)
      await again.close()
    },
    bootTimeoutMs,
  )

  test(
    'of a later version is refused and left as it is',
    async () => {
      const later = { hash: 'from the future', at: Date.UTC(2100, 0) }
      const client = createPgliteClient()
      await client.open(join(dataDir, 'pglite'))
      const db = drizzleOver(client)
      await db.execute(
        sql`insert into drizzle.__drizzle_migrations (hash, created_at) values (${later.hash}, ${later.at})`,
      )
      await client.close()

      expect(await openPgliteStore(dataDir)).toMatchObject({ code: 'schema_newer' })
      // The refusal has let go of the directory.
      expect(await openPgliteStore(dataDir)).toMatchObject({ code: 'schema_newer' })
    },
    bootTimeoutMs,
  )

  test(
    'whose files are broken is refused, not thrown away',
    async () => {
      truncateSync(join(dataDir, 'pglite', 'global', 'pg_control'), 100)
      for (let attempt = 0; attempt < 2; attempt += 1) {
        expect(await openPgliteStore(dataDir)).toMatchObject({ code: 'damaged' })
      }
    },
    bootTimeoutMs,
  )

  test('that cannot be made is refused', async () => {
    const file = join(root, 'file')
    writeFileSync(file, '')
    expect(await openPgliteStore(join(file, 'data'))).toMatchObject({ code: 'not_writable' })
  })
})
