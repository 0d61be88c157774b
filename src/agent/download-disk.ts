import { statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Failure } from '../protocol/errors.ts'
import { agentLimits } from './agent-limits.ts'
import { gigabytes } from './size-text.ts'
import { explainFileError } from './state-dir.ts'

const whatToDo =
  'free some space there (gpupool-agent models rm NAME), or set GPUPOOL_AGENT_DIR to a folder on a larger disk'

/** What a download leaves free: a fixed room, less on disks so small that it would be most of them. */
export const headroomOf = (diskBytes: number): number =>
  Math.min(agentLimits.diskHeadroomBytes, diskBytes / 20)

/** @returns why so many more bytes do not fit beside `path`, or undefined when they do */
export async function diskShortage(
  path: string,
  neededBytes: number,
): Promise<Failure | undefined> {
  const { bavail, blocks, bsize } = await statfs(dirname(path))
  const freeBytes = bavail * bsize - headroomOf(blocks * bsize)
  if (neededBytes <= freeBytes) return undefined
  const free = gigabytes(Math.max(0, freeBytes))
  return loadFailed(
    `the disk is full: ${gigabytes(neededBytes)} are needed in ${dirname(path)}, ${free} are free for models; ${whatToDo}`,
  )
}

/** @returns what a failed write means, with what to do; undefined when it is no failure of the disk */
export function writeFailure(path: string, error: unknown): Failure | undefined {
  const code = error instanceof Error ? Reflect.get(error, 'code') : undefined
  if (isFull(error)) return loadFailed(`${explainFileError(error)} (${dirname(path)}); ${whatToDo}`)
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS' || code === 'EIO')
    return loadFailed(`the model folder ${dirname(path)} cannot be written (${code})`)
  return undefined
}

/** Whether a write failed for want of room. */
export function isFull(error: unknown): boolean {
  const code = error instanceof Error ? Reflect.get(error, 'code') : undefined
  return code === 'ENOSPC' || code === 'EDQUOT'
}

const loadFailed = (message: string): Failure => ({ code: 'model_load_failed', message })
