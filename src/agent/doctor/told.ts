import type { Timers } from '../timers.ts'
import { says, type CheckName, type Finding } from './finding.ts'

/** What came of asking for facts within a deadline. */
export type Told<Facts> =
  | { readonly type: 'told'; readonly facts: Facts }
  | { readonly type: 'overdue'; readonly afterMs: number }
  | { readonly type: 'broken'; readonly reason: string }

/**
 * Waits for facts, but not for ever: a driver or a file system in trouble hangs everyone who asks it. Who is asked goes
 * on in the background; the command ends the process.
 */
export function within<Facts>(
  timers: Timers,
  afterMs: number,
  gather: () => Promise<Facts>,
): Promise<Told<Facts>> {
  return new Promise(settle => {
    const cancel = timers.after(afterMs, () => settle({ type: 'overdue', afterMs }))
    const end = (told: Told<Facts>) => {
      cancel()
      settle(told)
    }
    gather().then(
      facts => end({ type: 'told', facts }),
      (error: unknown) =>
        end({ type: 'broken', reason: error instanceof Error ? error.message : String(error) }),
    )
  })
}

/** Judges facts that came; those that did not are a finding of their own. */
export function judged<Facts>(
  check: CheckName,
  told: Told<Facts>,
  judge: (facts: Facts) => readonly Finding[],
): readonly Finding[] {
  const { failing } = says(check)
  switch (told.type) {
    case 'told':
      return judge(told.facts)
    case 'overdue':
      return [
        failing(
          `no answer within ${told.afterMs / 1000} s`,
          `${hangs[check] ?? 'something in the system hangs'}; restart the machine if it stays like this`,
        ),
      ]
    case 'broken':
      return [failing(`could not be looked at: ${told.reason}`, 'put that right, then look again')]
  }
}

/** What it mostly is that does not answer. */
const hangs: Readonly<Partial<Record<CheckName, string>>> = {
  devices: 'a graphics driver hangs',
  driver: 'a graphics driver hangs',
  engine: 'the graphics driver or the engine hangs',
  permissions: 'a graphics driver hangs',
  disk: 'the disk or the network file system hangs',
  agent: 'the running agent hangs: stop it and start it again',
}
