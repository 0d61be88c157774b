import type { BoundedLog } from './bounded-log.ts'
import { readLines } from './lines.ts'

/** Lines of each child that are kept for a report of its end. */
const lastLinesMax = 40
const stopGraceMs = 15_000

/** A line of JSON that the child printed on stdout, for example `{"event":"ready",…}`. */
export type ProcessEvent = { readonly event: string; readonly [field: string]: unknown }

export type SupervisedProcess = {
  readonly name: string
  readonly pid: number
  /** Settles once, when the process is gone and its output has been read: its exit code, 128 + n after a signal. */
  readonly ended: Promise<number>
  /** The next event of that name, printed from now on; undefined when the process ends before. */
  next(event: string): Promise<ProcessEvent | undefined>
  /** The end of what it wrote on stderr. */
  lastLines(): readonly string[]
  /** Asks the process to end, kills it when it does not within the grace, and waits until it is gone. */
  stop(graceMs?: number): Promise<void>
  /** Ends the process and all that it started, at once. */
  kill(): void
}

const windows = process.platform === 'win32'

function parseEvent(line: string): ProcessEvent | undefined {
  if (!line.startsWith('{')) return undefined
  try {
    const value: unknown = JSON.parse(line)
    return isEvent(value) ? value : undefined
  } catch {
    // A line of a log that merely looks like JSON is no event.
    return undefined
  }
}

const isEvent = (value: unknown): value is ProcessEvent =>
  typeof value === 'object' && value !== null && 'event' in value && typeof value.event === 'string'

/**
 * Starts a TypeScript program under this Bun, with its output in `log`. It gets a process group of its own, so that a
 * Ctrl-C in the terminal reaches only us and we decide who stops first; `--no-orphans` ends it should we be killed.
 */
export function superviseProcess(options: {
  readonly name: string
  readonly command: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  readonly log: BoundedLog
}): SupervisedProcess {
  const { name, log } = options
  const child = Bun.spawn([process.execPath, '--no-orphans', ...options.command], {
    env: { ...options.env },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
    detached: !windows,
  })
  const last: string[] = []
  const waiting = new Set<{ event: string; resolve(found: ProcessEvent | undefined): void }>()

  const onStdout = (line: string) => {
    log.write(`${line}\n`)
    const parsed = parseEvent(line)
    for (const waiter of waiting)
      if (waiter.event === parsed?.event) {
        waiting.delete(waiter)
        waiter.resolve(parsed)
      }
  }
  const onStderr = (line: string) => {
    log.write(`${line}\n`)
    last.push(line)
    if (last.length > lastLinesMax) last.shift()
  }
  let gone = false
  const kill = () => {
    if (gone) return
    try {
      process.kill(windows ? child.pid : -child.pid, 'SIGKILL')
    } catch (error) {
      // The whole group has ended already.
      if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
    }
  }
  const exited = child.exited.then(code => {
    // Whatever the process started and left behind holds our pipes open and has nobody to serve any more.
    kill()
    gone = true
    return code
  })
  const ended = Promise.all([
    exited,
    readLines(child.stdout, onStdout),
    readLines(child.stderr, onStderr),
  ]).then(([code]) => {
    for (const waiter of waiting) waiter.resolve(undefined)
    waiting.clear()
    log.close()
    return code
  })

  return {
    name,
    pid: child.pid,
    ended,
    next: event =>
      gone ? Promise.resolve(undefined) : new Promise(resolve => waiting.add({ event, resolve })),
    lastLines: () => [...last],
    async stop(graceMs = stopGraceMs) {
      child.kill('SIGTERM')
      const timer = setTimeout(kill, graceMs)
      await ended
      clearTimeout(timer)
    },
    kill,
  }
}
