import { gigabytes } from '../size-text.ts'
import { says, type Finding } from './finding.ts'

/** One folder that the agent writes into. */
export type DiskPlace = {
  readonly what: 'models' | 'cache'
  readonly path: string
  /** Why it cannot be written; null: it can. */
  readonly obstacle: string | null
  /** Null: could not be read. */
  readonly freeBytes: number | null
  /** What is still to come here, with its reason. */
  readonly neededBytes: number
  readonly neededFor: string
}

/** Less than this and not even the agent's own small files are safe. */
export const diskMinBytes = 256 * 1024 ** 2

const { ok, warning, failing } = says('disk')
const settings = { models: 'GPUPOOL_AGENT_DIR', cache: 'GPUPOOL_AGENT_CACHE_DIR' } as const

export const checkDisk = (places: readonly DiskPlace[]): readonly Finding[] =>
  places.map(place => {
    const { what, path, obstacle, freeBytes, neededBytes, neededFor } = place
    const elsewhere = `set ${settings[what]} to a folder on another disk`
    const name = `${what} in ${path}`
    if (obstacle !== null)
      return failing(
        `${name}: cannot be written: ${obstacle}`,
        `let this user write there, or ${elsewhere}`,
      )
    if (freeBytes === null)
      return warning(
        `${name}: the free space could not be read`,
        `see to it that there are ${gigabytes(neededBytes)} for ${neededFor}`,
      )
    const text = `${name}: ${gigabytes(freeBytes)} free`
    if (freeBytes < diskMinBytes)
      return failing(`${text}: the disk is full`, `free space, or ${elsewhere}`)
    if (freeBytes < neededBytes)
      return warning(
        `${text}, ${gigabytes(neededBytes)} needed for ${neededFor}`,
        `free space, or ${elsewhere}`,
      )
    return ok(text)
  })
