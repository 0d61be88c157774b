export type CommandAnswer =
  | { readonly type: 'answer'; readonly stdout: string; readonly status: number }
  /** There is no such program on this machine. */
  | { readonly type: 'absent' }
  | { readonly type: 'failed'; readonly reason: string }

/** Asks a program of the machine for its output. */
export type RunCommand = (
  argv: readonly [string, ...string[]],
  timeLimitMs: number,
) => Promise<CommandAnswer>

const outputBytesMax = 4 * 1024 * 1024

/**
 * Runs a program once and hands back what it printed, whatever its exit status: several tools (sysctl with one
 * unknown name, rocm-smi with one broken device) print all they know and still end with an error. Never throws; kills
 * the program at the limit, because a driver in trouble hangs everyone who asks it.
 */
export const runCommand: RunCommand = async (argv, timeLimitMs) => {
  const [program, ...rest] = argv
  const executable = Bun.which(program)
  if (executable === null) return { type: 'absent' }
  try {
    const child = Bun.spawn([executable, ...rest], {
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: timeLimitMs,
      killSignal: 'SIGKILL',
      windowsHide: true,
      maxBuffer: outputBytesMax,
    })
    const [stdout, status] = await Promise.all([child.stdout.text(), child.exited])
    if (child.signalCode !== null)
      return { type: 'failed', reason: `${program} gave no answer within ${timeLimitMs / 1000} s` }
    return { type: 'answer', stdout, status }
  } catch (error) {
    return { type: 'failed', reason: `${program} does not start: ${String(error)}` }
  }
}
