import {
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { stopIfInterrupted } from './child.mjs'
import { withProgress } from './progress.mjs'

const retryMs = 200
/** A process id may have been given to somebody else since; no install takes longer than this. */
const staleAfterMs = 30 * 60_000

/** Where the pinned Bun, the lock and unfinished downloads lie. */
export const privateFolder = root => join(root, '.gpupool-bun')

export function isAlive(pid) {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM'
  }
}

function tryTake(path) {
  try {
    writeFileSync(path, String(process.pid), { flag: 'wx' })
    return true
  } catch (error) {
    if (error.code === 'EEXIST') return false
    throw error
  }
}

/** Removes the lock of a process that is gone. */
function dropIfStale(path) {
  const aside = `${path}.${process.pid}`
  try {
    const holder = readFileSync(path, 'utf8')
    const ageMs = Date.now() - statSync(path).mtimeMs
    // An empty file is a lock being written this very moment, unless it stays so.
    const abandoned = holder === '' ? ageMs > 5_000 : !isAlive(Number(holder))
    if (!abandoned && ageMs < staleAfterMs) return
    // Of two that find the same stale lock one may come late and move the other's new one: that goes back.
    renameSync(path, aside)
    if (readFileSync(aside, 'utf8') !== holder) linkSync(aside, path)
    rmSync(aside, { force: true })
  } catch (error) {
    if (error.code !== 'ENOENT') throw error
  }
}

/** Runs `work` while no other start of this checkout installs anything; waits for its turn. */
export async function withInstallLock(root, work) {
  mkdirSync(privateFolder(root), { recursive: true })
  const path = join(privateFolder(root), 'install.lock')
  if (!tryTake(path))
    await withProgress('Waiting for another start that is installing', async () => {
      do {
        stopIfInterrupted()
        dropIfStale(path)
        await wait(retryMs)
      } while (!tryTake(path))
    })
  try {
    return await work()
  } finally {
    rmSync(path, { force: true })
  }
}
