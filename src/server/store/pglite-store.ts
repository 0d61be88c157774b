import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from 'node:fs'
import { join, resolve } from 'node:path'
import type { PGlite } from '@electric-sql/pglite'
import { drizzle } from 'drizzle-orm/pglite'
import { errorCodeOf } from './database.ts'
import { createDrizzleStore } from './drizzle-store.ts'
import { takeFile, type ExclusiveFile } from './exclusive-file.ts'
import { migrate } from './migrate.ts'
import { createPgliteClient, type PgliteClient } from './pglite-client.ts'
import {
  isStoreRefusal,
  schemaNewer,
  type OpenedStore,
  type StoreRefusal,
} from './store-refusal.ts'

/** A fresh database takes 39 MB. When one does not start and less than this is free, the disk is the reason. */
const freeBytesMin = 64 * 1024 * 1024

/**
 * Written into the database's folder once it has been whole for the first time. A first start that was cut short leaves
 * files that PGlite takes for a database and cannot start; without this marker they are thrown away, since no store was
 * ever handed out over them.
 */
const wholeMarker = 'gpupool-whole'

/**
 * Opens the embedded database in `dataDir` (made when absent), or a fresh one for `memory`. One process at a time: PGlite
 * itself lets a second process open the same files, and the two diverge. Everything acknowledged survives the death of
 * the process, not the loss of power (PGlite does not wait for the disk).
 */
export async function openPgliteStore(dataDir: string): Promise<OpenedStore> {
  if (dataDir === 'memory') return openDatabase(null, () => {})
  const lock = takeDirectory(resolve(dataDir))
  if (isStoreRefusal(lock)) return lock
  try {
    const opened = await openDatabase(join(resolve(dataDir), 'pglite'), lock.release)
    if (isStoreRefusal(opened)) lock.release()
    return opened
  } catch (bug) {
    lock.release()
    throw bug
  }
}

function takeDirectory(directory: string): ExclusiveFile | StoreRefusal {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    const file = takeFile(join(directory, 'server.lock'), `${process.pid}\n`)
    if (!('taken' in file)) return file
    const pid = Number.parseInt(file.content, 10) || null
    const owner = pid === null ? 'another process' : `process ${pid}`
    const message = `${directory} is in use by ${owner}: stop it, or choose another data directory`
    return { code: 'locked', pid, message }
  } catch (problem) {
    return directoryRefusal(directory, problem)
  }
}

function directoryRefusal(directory: string, problem: unknown): StoreRefusal {
  if (!(problem instanceof Error)) throw problem
  const code = errorCodeOf(problem) === 'ENOSPC' ? 'disk_full' : 'not_writable'
  return { code, message: `cannot use ${directory} as data directory: ${problem.message}` }
}

/** Leaves a whole database or an empty folder. */
function prepareFolder(folder: string): StoreRefusal | undefined {
  try {
    if (!existsSync(join(folder, wholeMarker))) rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    accessSync(folder, constants.R_OK | constants.W_OK | constants.X_OK)
    return undefined
  } catch (problem) {
    return directoryRefusal(folder, problem)
  }
}

/** @param folder null: in memory */
async function openDatabase(folder: string | null, release: () => void): Promise<OpenedStore> {
  const unusable = folder === null ? undefined : prepareFolder(folder)
  if (unusable !== undefined) return unusable
  const client = createPgliteClient()
  try {
    const refusal = await startDatabase(client, folder)
    if (refusal !== undefined) {
      client.abandon()
      return refusal
    }
    const db = drizzleOver(client)
    if ((await migrate(db)) === 'schema_newer') {
      await client.close()
      return schemaNewer
    }
    if (folder !== null) writeFileSync(join(folder, wholeMarker), '')
    return createDrizzleStore(db, () => client.close().finally(release))
  } catch (problem) {
    client.abandon()
    const refusal = folder === null ? undefined : diskFull(folder)
    if (refusal !== undefined) return refusal
    throw problem
  }
}

/** Drizzle types its driver by the whole PGlite class but calls only what `PgliteClient` has. */
export const drizzleOver = (client: PgliteClient) =>
  drizzle({ client: client as unknown as PGlite })

async function startDatabase(
  client: PgliteClient,
  folder: string | null,
): Promise<StoreRefusal | undefined> {
  try {
    await client.open(folder)
    return undefined
  } catch (problem) {
    if (folder === null || !(problem instanceof Error)) throw problem
    const message = `the database in ${folder} does not start (${problem.message}); restore it from a copy, or move it away to begin anew`
    return diskFull(folder) ?? { code: 'damaged', message }
  }
}

/** PGlite dies of a full disk without naming it, so the disk itself is asked. */
function diskFull(folder: string): StoreRefusal | undefined {
  const { bavail, bsize } = statfsSync(folder)
  const freeBytes = bavail * bsize
  if (freeBytes >= freeBytesMin) return undefined
  const [free, needed] = [freeBytes, freeBytesMin].map(bytes => Math.floor(bytes / 1024 / 1024))
  const message = `the disk under ${folder} is full: ${free} MB are free, ${needed} MB are needed`
  return { code: 'disk_full', message }
}
