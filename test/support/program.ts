import { systemClock } from '../../src/clock.ts'

const root = new URL('../..', import.meta.url).pathname
/** Lines kept of each program, to show when a test fails. */
const linesKeptMax = 400

type Waiter = {
  readonly matches: (line: string) => boolean
  readonly found: (line: string) => void
  readonly failed: (error: Error) => void
}

/** How a program is started, where it is not a source file of this checkout run by this Bun. */
export type Launch = {
  /** In place of Bun. */
  readonly executable: string
  readonly cwd: string
  /** User to run as; null: ours. */
  readonly uid: number | null
  /** The whole environment, PATH and HOME included. */
  readonly env: Readonly<Record<string, string>>
}

/**
 * A real process of this project, and its output as events: a test waits for a line, never for a time. It is stopped by
 * its own id.
 */
export class Program {
  readonly name: string
  readonly #process: Bun.Subprocess<'ignore', 'pipe', 'pipe'>
  readonly #lines: string[] = []
  readonly #waiters = new Set<Waiter>()
  readonly #watchers: ((line: string) => void)[] = []

  constructor(
    name: string,
    args: readonly string[],
    env: Readonly<Record<string, string>>,
    launch: Launch | null = null,
  ) {
    this.name = name
    const uid = launch?.uid ?? null
    const user = uid === null ? {} : { uid, gid: uid }
    this.#process = Bun.spawn([launch?.executable ?? process.execPath, ...args], {
      cwd: launch?.cwd ?? root,
      env: launch?.env ?? {
        PATH: process.env['PATH'] ?? '',
        HOME: process.env['HOME'] ?? '',
        ...env,
      },
      ...user,
      stdin: 'ignore',
      stdout: 'pipe',
      stderr: 'pipe',
    })
    void this.#read(this.#process.stdout)
    void this.#read(this.#process.stderr)
    void this.#process.exited.then(code => this.#ended(code))
  }

  get pid(): number {
    return this.#process.pid
  }

  /** The exit code, once it has ended. */
  get exited(): Promise<number> {
    return this.#process.exited
  }

  get output(): string {
    return this.#lines.join('\n')
  }

  /** The first line, of now or later, that matches. Rejects when the program ends without it. */
  line(matches: (line: string) => boolean): Promise<string> {
    const before = this.#lines.find(matches)
    return before === undefined ? this.nextLine(matches) : Promise.resolve(before)
  }

  /** Like `line`, but only lines that come from now on. */
  nextLine(matches: (line: string) => boolean): Promise<string> {
    return new Promise((found, failed) => this.#waiters.add({ matches, found, failed }))
  }

  /** Calls back for each line that comes from now on. */
  watch(onLine: (line: string) => void): void {
    this.#watchers.push(onLine)
  }

  kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<number> {
    this.#process.kill(signal)
    return this.#process.exited
  }

  /** Asks it to stop and waits until it has. */
  stop(): Promise<number> {
    return this.kill('SIGTERM')
  }

  async #read(stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder()
    let rest = ''
    for await (const bytes of stream) {
      const parts = (rest + decoder.decode(bytes, { stream: true })).split('\n')
      rest = parts.pop() ?? ''
      for (const line of parts) this.#line(line)
    }
    if (rest !== '') this.#line(rest)
  }

  #line(line: string): void {
    this.#lines.push(line)
    if (this.#lines.length > linesKeptMax) this.#lines.shift()
    for (const onLine of this.#watchers) onLine(line)
    for (const waiter of this.#waiters) {
      if (!waiter.matches(line)) continue
      this.#waiters.delete(waiter)
      waiter.found(line)
    }
  }

  #ended(code: number): void {
    const error = new Error(
      `${this.name} ended with ${code} at ${systemClock.now()}:\n${this.output}`,
    )
    for (const waiter of this.#waiters) waiter.failed(error)
    this.#waiters.clear()
  }
}

/** Matches one line of JSON with this `event`. */
export const event =
  (name: string) =>
  (line: string): boolean =>
    line.startsWith('{') && line.includes(`"event":"${name}"`)
