import type { JobId } from '../protocol/ids.ts'
import { agentLimits } from './agent-limits.ts'

/** What is remembered of the deaths of one file's workers. */
export type DeathLog = {
  /** Workers in a row that died before the model was in memory. */
  readonly whileLoading: number
  /** The model has been in memory here: whatever kills its load now, it is not the file. */
  readonly everReady: boolean
  /** A job was finished: whatever kills its workers now, it is not the file. */
  readonly everFinished: boolean
  /** Of each worker that died at work before a job was ever finished: the jobs that it had. */
  readonly atWork: readonly ReadonlySet<JobId>[]
}

export const noDeaths: DeathLog = {
  whileLoading: 0,
  everReady: false,
  everFinished: false,
  atWork: [],
}

export type Death = {
  readonly during: 'load' | 'work'
  /** What the worker had to do. */
  readonly jobs: ReadonlySet<JobId>
}

/** The model is in memory. */
export const becameReady = (log: DeathLog): DeathLog => ({
  ...log,
  whileLoading: 0,
  everReady: true,
})

export const jobFinished = (log: DeathLog): DeathLog =>
  log.everFinished ? log : { ...log, atWork: [], everFinished: true }

/** Adds a death; one at work without a job says nothing about the file. */
export function noteDeath(log: DeathLog, { during, jobs }: Death): DeathLog {
  if (during === 'load') return { ...log, whileLoading: log.whileLoading + 1 }
  if (jobs.size === 0 || log.everFinished) return log
  return { ...log, atWork: [...log.atWork, jobs].slice(-agentLimits.firstJobDeathsMax) }
}

/**
 * Tells a poisoned file from a poisonous request. A file is to blame when it kills its worker during the load, twice; or
 * at its first jobs, twice, with no job that was there each time. One that was there each time may be what kills.
 * @returns why the file is to blame; null when it is not
 */
export function blame({ whileLoading, everReady, atWork }: DeathLog): string | null {
  if (!everReady && whileLoading >= agentLimits.loadDeathsMax)
    return `it ended its worker ${whileLoading} times while it was loaded`
  if (atWork.length >= agentLimits.firstJobDeathsMax && commonJobs(atWork).size === 0)
    return `it ended its worker ${atWork.length} times, each time at other requests, and finished none`
  return null
}

const commonJobs = (sets: readonly ReadonlySet<JobId>[]): ReadonlySet<JobId> =>
  sets.reduce((common, set) => common.intersection(set))
