import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'

/** A data directory for one run, gone when it is released. */
export type ClaimedFolder = { readonly path: string; release(): void }

const nameOf = (pid: number): string => `once-${pid}`
const nameRegex = /^once-(\d+)$/

/** Whether a process exists, be it ours or somebody else's. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

/** A fresh folder for a `--once` run. What killed runs left behind is removed first. */
export function claimOnceFolder(dataDir: string, pid: number = process.pid): ClaimedFolder {
  mkdirSync(dataDir, { recursive: true })
  const remove = (name: string) => rmSync(join(dataDir, name), { recursive: true, force: true })
  for (const name of readdirSync(dataDir)) {
    const owner = nameRegex.exec(name)?.[1]
    if (owner !== undefined && (Number(owner) === pid || !isAlive(Number(owner)))) remove(name)
  }
  const path = join(dataDir, nameOf(pid))
  mkdirSync(path)
  return { path, release: () => remove(nameOf(pid)) }
}
