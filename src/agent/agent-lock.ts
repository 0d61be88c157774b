import { Database } from 'bun:sqlite'
import { readFileSync } from 'node:fs'
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

function readPid(path: string): number | null {
  try {
    const pid = Number(readFileSync(path, 'utf8'))
    return Number.isInteger(pid) && pid > 0 ? pid : null
  } catch {
    return null
  }
}
