import { openBoundedLog } from './bounded-log.ts'
import type { Halt } from './halt.ts'
import { superviseProcess, type SupervisedProcess } from './supervised-process.ts'

/** The processes of one run, in the order in which they were started. */
export type Crew = {
  /** A process that has to stay: its end, unless we asked for it, halts the run. */
  hire(job: Job): SupervisedProcess
  /** Runs a command to its end. @returns its exit code and the end of its stderr; undefined when the run was halted */
  runToEnd(job: Job): Promise<{ code: number; lines: readonly string[] } | undefined>
  /** Stops all, the youngest first, so that the agent says goodbye to a server that still listens. */
  dismiss(): Promise<void>
  /** Ends all at once. */
  kill(): void
}

type Job = {
  readonly name: string
  readonly command: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  readonly logPath: string
}

export function createCrew(halt: Halt): Crew {
  const members: SupervisedProcess[] = []
  let dismissing = false
  const start = (job: Job): SupervisedProcess => {
    const { name, command, env } = job
    const started = superviseProcess({ name, command, env, log: openBoundedLog(job.logPath) })
    members.push(started)
    void started.ended.then(() => members.splice(members.indexOf(started), 1))
    return started
  }
  return {
    hire(job) {
      const hired = start(job)
      void hired.ended.then(code => {
        if (!dismissing) halt.with({ type: 'died', process: hired, code })
      })
      return hired
    },
    async runToEnd(job) {
      const started = start(job)
      const code = await halt.orHalted(started.ended)
      return code === undefined ? undefined : { code, lines: started.lastLines() }
    },
    async dismiss() {
      dismissing = true
      for (const member of members.toReversed()) await member.stop()
    },
    kill() {
      dismissing = true
      for (const member of members) member.kill()
    },
  }
}
