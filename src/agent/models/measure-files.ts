import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'

/** What lies at a place of the models folder. */
export type Measured = {
  readonly sizeBytes: number
  readonly modifiedMs: number
  /** Nothing of it is still being fetched. */
  readonly whole: boolean
  /** Somebody fetches a part of it now. */
  readonly claimed: boolean
}

/** @returns null for what is no ordinary file, or has gone meanwhile */
export async function measureFile(path: string): Promise<Measured | null> {
  const facts = await lstat(path).catch(() => null)
  if (facts?.isFile() !== true) return null
  return { sizeBytes: facts.size, modifiedMs: facts.mtimeMs, whole: true, claimed: false }
}

/** The folder of a split model, as one. @returns null for what is no folder, or has gone meanwhile */
export async function measureFolder(path: string): Promise<Measured | null> {
  const facts = await lstat(path).catch(() => null)
  if (facts?.isDirectory() !== true) return null
  const names = await readdir(path).catch((): string[] => [])
  const files = await Promise.all(names.map(name => measureFile(join(path, name))))
  return {
    sizeBytes: files.reduce((sum, file) => sum + (file?.sizeBytes ?? 0), 0),
    modifiedMs: facts.mtimeMs,
    whole: !names.some(name => name.endsWith('.part')),
    claimed: names.some(name => name.endsWith('.lock')),
  }
}
