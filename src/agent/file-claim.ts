import { Database } from 'bun:sqlite'
import { rmSync, statSync } from 'node:fs'
import { agentLimits } from './agent-limits.ts'
import type { Timers } from './timers.ts'
import { waited } from './waited.ts'

/** Bun closes a database that nobody refers to any more, and its lock with it: these are kept until released. */
const held = new Set<Database>()

/** The right to write one file, until this is released or the process ends, however it ends. */
export type FileClaim = { release(): void }

/**
 * Waits for the right to write a file: agents of several state directories may share one models folder through a link,
 * and two that write one file ruin it. The lock is SQLite's, as agent-lock.ts says, on `PATH.lock`.
 * @returns the claim, or undefined when the signal was aborted first
 * @throws the system's error when the lock cannot be made
 */
export async function claimFile(
  path: string,
  timers: Timers,
  signal: AbortSignal,
): Promise<FileClaim | undefined> {
  while (!signal.aborted) {
    const claim = tryClaim(`${path}.lock`)
    if (claim !== undefined) return claim
    await waited(agentLimits.downloadClaimPollMs, timers, signal)
  }
  return undefined
}

function tryClaim(path: string): FileClaim | undefined {
  const database = new Database(path, { create: true })
  try {
    const opened = inodeOf(path)
    database.run('PRAGMA busy_timeout = 0')
    database.run('BEGIN EXCLUSIVE')
    // Whoever had it removes the file at the end: a lock on a file that is no longer there keeps nobody out.
    if (opened === undefined || inodeOf(path) !== opened) {
      database.close()
      return undefined
    }
  } catch (error) {
    database.close()
    if (error instanceof Error && Reflect.get(error, 'code') === 'SQLITE_BUSY') return undefined
    throw error
  }
  held.add(database)
  return {
    release() {
      held.delete(database)
      // Windows removes no open file; there it stays, empty, and is used again.
      if (process.platform !== 'win32') rmSync(path, { force: true })
      database.close()
    },
  }
}

const inodeOf = (path: string): number | undefined => statSync(path, { throwIfNoEntry: false })?.ino
