import { Database } from 'bun:sqlite'
import type { Timers } from '../timers.ts'

/** Bun closes a database that nobody refers to any more, and its lock with it: these are kept until released. */
const held = new Set<Database>()
const retryMs = 100

export type FileLock = { release(): void }

/**
 * Takes a lock of the kernel on a file (SQLite's, as in `agent-lock.ts`: gone with its process however that ends). Many
 * may share it; one may have it alone.
 * @returns null when others have it
 * @throws Error when the file cannot be made or locked at all
 */
export function tryFileLock(path: string, mode: 'shared' | 'alone'): FileLock | null {
  const database = new Database(path, { create: true })
  try {
    database.run('PRAGMA busy_timeout = 0')
    database.run(mode === 'alone' ? 'BEGIN EXCLUSIVE' : 'BEGIN')
    // A deferred transaction locks when it first reads.
    if (mode === 'shared') database.query('SELECT count(*) FROM sqlite_master').get()
  } catch (error) {
    database.close()
    if (error instanceof Error && Reflect.get(error, 'code') === 'SQLITE_BUSY') return null
    throw error
  }
  held.add(database)
  return {
    release() {
      held.delete(database)
      database.close()
    },
  }
}

/** Waits until the lock is free. `onWait` is called once, when somebody else has it. */
export async function fileLock(
  path: string,
  mode: 'shared' | 'alone',
  timers: Timers,
  onWait: () => void,
): Promise<FileLock> {
  for (let waited = false; ; waited = true) {
    const lock = tryFileLock(path, mode)
    if (lock !== null) return lock
    if (!waited) onWait()
    await new Promise<void>(resolve => void timers.after(retryMs, resolve))
  }
}
