import type { Machine } from './machine.ts'

/** One way to lose a machine in mid-answer. */
export type Loss = {
  readonly name: string
  readonly cause: (machine: Machine, workerPid: number) => void
  /** Its agent is gone for good; else it is in the pool again, and may even be the one that goes on. */
  readonly endsAgent: boolean
  /**
   * For a machine that was only silent: it speaks again, while others go on with its answers; all that it still had to say
   * comes late. Null: it is gone.
   */
  readonly awake: ((machine: Machine) => void) | null
}

/** The server hears of these at once. */
export const suddenLosses: readonly Loss[] = [
  {
    name: 'agent-killed',
    cause: ({ agentPid }) => process.kill(agentPid, 'SIGKILL'),
    endsAgent: true,
    awake: null,
  },
  {
    name: 'worker-killed',
    cause: (_, workerPid) => process.kill(workerPid, 'SIGKILL'),
    endsAgent: false,
    awake: null,
  },
  {
    name: 'network-broken',
    cause: ({ line }) => line.break(),
    endsAgent: false,
    awake: null,
  },
]

/** Nobody tells the server; it has to notice. */
export const silentLosses: readonly Loss[] = [
  {
    name: 'agent-stopped',
    cause: ({ agentPid }) => process.kill(agentPid, 'SIGSTOP'),
    endsAgent: false,
    awake: ({ agentPid }) => process.kill(agentPid, 'SIGCONT'),
  },
  {
    name: 'network-silent',
    cause: ({ line }) => line.fallSilent(),
    endsAgent: false,
    awake: ({ line }) => line.mend(),
  },
]

export function lossNamed(name: string): Loss {
  const loss = [...suddenLosses, ...silentLosses].find(one => one.name === name)
  if (loss === undefined) throw new Error(`there is no loss ${name}`)
  return loss
}
