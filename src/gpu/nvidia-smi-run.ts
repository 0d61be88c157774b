import { existsSync } from 'node:fs'

export type NvidiaSmiAnswer =
  /** What it printed, whatever its exit status: with one broken device of several it fails and still lists the others. */
  | { readonly type: 'answer'; readonly text: string; readonly status: number }
  /** There is no nvidia-smi on this machine. */
  | { readonly type: 'absent' }
  | { readonly type: 'failed'; readonly reason: string }

export type RunNvidiaSmi = (args: readonly string[]) => Promise<NvidiaSmiAnswer>

export type NvidiaSmiOptions = {
  readonly executable: string | null
  /** Calls back once, later. @returns takes it back */
  readonly after: (ms: number, callback: () => void) => () => void
}

/** Without a persistence daemon each run initialises every card, which takes seconds per card. */
const timeLimitMs = 20_000

/**
 * Runs nvidia-smi. Never rejects and never waits longer than the time limit, also for a process that cannot be killed
 * because it hangs inside the driver; while there is such a one, no other is started.
 */
export function createRunNvidiaSmi(options: NvidiaSmiOptions = nvidiaSmiOptions()): RunNvidiaSmi {
  let stuck = false
  return async args => {
    if (options.executable === null) return { type: 'absent' }
    if (stuck) return { type: 'failed', reason: 'nvidia-smi still hangs inside the driver' }
    try {
      const child = Bun.spawn([options.executable, ...args], {
        stdio: ['ignore', 'pipe', 'ignore'],
        windowsHide: true,
        // 64 devices as XML are about 6 MB, nearly all of it clocks that they could run at.
        maxBuffer: 16 * 1024 * 1024,
      })
      const tooLate = Promise.withResolvers<'too_late'>()
      const cancel = options.after(timeLimitMs, () => {
        stuck = true
        child.kill('SIGKILL')
        void child.exited.then(() => {
          stuck = false
        })
        tooLate.resolve('too_late')
      })
      const done = Promise.all([child.stdout.text(), child.exited])
      const result = await Promise.race([done, tooLate.promise])
      cancel()
      if (result === 'too_late')
        return {
          type: 'failed',
          reason: `nvidia-smi gave no answer within ${timeLimitMs / 1000} s`,
        }
      const [text, status] = result
      if (child.signalCode !== null)
        return { type: 'failed', reason: `nvidia-smi was ended by ${child.signalCode}` }
      return { type: 'answer', text, status }
    } catch (error) {
      return { type: 'failed', reason: `nvidia-smi does not start: ${String(error)}` }
    }
  }
}

export const nvidiaSmiOptions = (): NvidiaSmiOptions => ({
  executable: findNvidiaSmi(process.platform, process.env, existsSync),
  after(ms, callback) {
    const timer = setTimeout(callback, ms)
    return () => clearTimeout(timer)
  },
})

/** On the path, or where drivers put it beside the path: WSL2, containers, older Windows drivers. */
export function findNvidiaSmi(
  platform: NodeJS.Platform,
  environment: Readonly<Record<string, string | undefined>>,
  exists: (path: string) => boolean,
): string | null {
  const programs = environment['ProgramW6432'] ?? environment['ProgramFiles'] ?? 'C:\\Program Files'
  const system = environment['SystemRoot'] ?? 'C:\\Windows'
  const places =
    platform === 'win32'
      ? [
          `${system}\\System32\\nvidia-smi.exe`,
          `${programs}\\NVIDIA Corporation\\NVSMI\\nvidia-smi.exe`,
        ]
      : ['/usr/bin/nvidia-smi', '/usr/lib/wsl/lib/nvidia-smi', '/usr/local/nvidia/bin/nvidia-smi']
  const found = platform === 'win32' ? null : Bun.which('nvidia-smi', pathOf(environment))
  return found ?? places.find(exists) ?? null
}

const pathOf = (environment: Readonly<Record<string, string | undefined>>) => ({
  PATH: environment['PATH'] ?? '',
})
