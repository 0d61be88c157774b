import type { JobId } from '../protocol/ids.ts'
import { agentLimits } from './agent-limits.ts'
import { becameReady, blame, jobFinished, noDeaths, noteDeath, type DeathLog } from './death-log.ts'
import { heldUpExit } from './engine/engine.ts'
import type { Instance } from './instance.ts'

/** A file that is not loaded any more. */
export type QuarantinedFile = {
  readonly sha256: string
  /** How the pool called it. */
  readonly model: string
  readonly reason: string
}

/** What this agent knows against files: the deaths of their workers, and which are not loaded any more. */
export class DeathRecords {
  readonly #logs = new Map<string, DeathLog>()
  readonly #quarantined: Map<string, QuarantinedFile>

  constructor(quarantined: readonly QuarantinedFile[]) {
    this.#quarantined = new Map(quarantined.map(file => [file.sha256, file]))
  }

  /** @returns why the file is not loaded; null when it may be */
  refusal(sha256: string): string | null {
    const file = this.#quarantined.get(sha256)
    return file === undefined ? null : refusalOf(file)
  }

  ready({ load }: Instance): void {
    this.#change(load.manifest.sha256, becameReady)
  }

  finished({ load }: Instance): void {
    this.#change(load.manifest.sha256, jobFinished)
  }

  /**
   * Notes the death of an instance's worker. Call it before the jobs are forgotten.
   * @param exit how the process ended
   * @returns the file when it is to blame, from now on
   */
  died({ load, phase, running }: Instance, exit: string): QuarantinedFile | null {
    if (innocentExits.has(exit)) return null
    const { sha256, name } = load.manifest
    const jobs = new Set<JobId>([...running.values()].map(({ jobId }) => jobId))
    const during = phase.name === 'starting' ? 'load' : 'work'
    const reason = blame(this.#change(sha256, log => noteDeath(log, { during, jobs })))
    if (reason === null) return null
    const file = { sha256, model: name, reason }
    this.#quarantined.set(sha256, file)
    return file
  }

  #change(sha256: string, change: (log: DeathLog) => DeathLog): DeathLog {
    const log = change(this.#logs.get(sha256) ?? noDeaths)
    // Set anew, so that the file that nothing was heard of for longest is forgotten first.
    this.#logs.delete(sha256)
    this.#logs.set(sha256, log)
    const [oldest] = this.#logs.keys()
    if (this.#logs.size > agentLimits.deathLogsMax && oldest !== undefined)
      this.#logs.delete(oldest)
    return log
  }
}

export const refusalOf = ({ reason }: QuarantinedFile): string =>
  `the file is in quarantine on this machine: ${reason}. It is tried again when the engine is another version, or when quarantine.json in the agent's state directory is deleted and the agent started anew`

/** The system ended it (memory), it never began, or a client's grammar held it up: none says anything about the file. */
const innocentExits: ReadonlySet<string> = new Set(['signal SIGKILL', 'not started', heldUpExit])
