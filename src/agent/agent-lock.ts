import { Database } from 'bun:sqlite'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { StateError, writeAtomically } from './state-dir.ts'

/** Bun closes a database that nobody refers to any more, and its lock with it: these are kept until released. */
const held = new Set<Database>()

/** The state directory is ours until this is released or the process ends, however it ends. */
export type AgentLock = { release(): void }

/**
 * Takes the state directory for this process.
 *
 * The lock is SQLite's: an exclusive transaction on `agent.lock`. That is a lock of the kernel on every system Bun
 * runs on, gone with its process also after kill -9, not inherited by workers, and it needs no native code of our own.
 * @returns the lock, or the pid of the agent that has it (null when it cannot be told)
 */
export function takeAgentLock(
  dir: string,
): { readonly lock: AgentLock } | { readonly ownerPid: number | null } {
  const pidPath = join(dir, 'agent.pid')
  let database: Database
  try {
    database = new Database(join(dir, 'agent.lock'), { create: true })
  } catch (error) {
    throw new StateError(`${join(dir, 'agent.lock')} cannot be opened: ${String(error)}`)
  }
  try {
    database.run('PRAGMA busy_timeout = 0')
    database.run('BEGIN EXCLUSIVE')
  } catch (error) {
    database.close()
    if (error instanceof Error && Reflect.get(error, 'code') === 'SQLITE_BUSY')
      return { ownerPid: readPid(pidPath) }
    throw new StateError(`${join(dir, 'agent.lock')} cannot be locked: ${String(error)}`)
  }
  held.add(database)
  writeAtomically(pidPath, `${process.pid}\n`)
  return {
    lock: {
      release() {
        held.delete(database)
        database.close()
      },
    },
  }
}

/**
 * Looks who has the state directory, without taking it.
 * @returns null when nobody has it, or there is no such directory yet
 */
export function readLockOwner(dir: string): { readonly pid: number | null } | null {
  const path = join(dir, 'agent.lock')
  if (!existsSync(path)) return null
  const database = new Database(path, { readonly: true })
  try {
    database.run('PRAGMA busy_timeout = 0')
    // Reading takes the shared lock, for a moment, which is refused while somebody has the exclusive one.
    database.query('SELECT count(*) FROM sqlite_master').get()
    return null
  } catch (error) {
    if (error instanceof Error && Reflect.get(error, 'code') === 'SQLITE_BUSY')
      return { pid: readPid(join(dir, 'agent.pid')) }
    throw error
  } finally {
    database.close()
  }
}

function readPid(path: string): number | null {
  try {
    const pid = Number(readFileSync(path, 'utf8'))
    return Number.isInteger(pid) && pid > 0 ? pid : null
  } catch {
    return null
  }
}
