import { readFileSync } from 'node:fs'
import { join } from 'node:path'

export type BenchProcessOptions = {
  readonly name: string
  /** Arguments of Bun, or a whole command line when `executable` names one. */
  readonly args: readonly string[]
  readonly executable?: string
  readonly env: Readonly<Record<string, string>>
  /** Folder for its standard error. */
  readonly folder: string
  /** The CPU it may use; null: any. */
  readonly cpu: number | null
}

type Waiter = {
  readonly event: string
  readonly found: (message: object) => void
  readonly failed: (error: Error) => void
}

const root = new URL('../..', import.meta.url).pathname
const errorLinesShown = 20
/** Alive, in the order of their start. */
const alive = new Set<BenchProcess>()

/**
 * A process of the benchmark. Orders go in and events come out as lines of JSON; `event` names the kind. Standard error
 * goes to a file, as a service's log does, so that reading it costs nobody anything.
 */
export class BenchProcess {
  readonly name: string
  readonly #process: Bun.Subprocess<'pipe', 'pipe', Bun.BunFile>
  readonly #errorPath: string
  readonly #waiters = new Set<Waiter>()
  readonly #unclaimed: { readonly event: string; readonly message: object }[] = []
  #hasEnded = false

  constructor({ name, args, executable, env, folder, cpu }: BenchProcessOptions) {
    this.name = name
    this.#errorPath = join(folder, `${name}.log`)
    // taskset replaces itself by the command, so the process id is the command's.
    const pin = cpu === null ? [] : ['taskset', '-c', String(cpu)]
    this.#process = Bun.spawn([...pin, executable ?? process.execPath, ...args], {
      cwd: root,
      env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', ...env },
      stdin: 'pipe',
      stdout: 'pipe',
      stderr: Bun.file(this.#errorPath),
    })
    alive.add(this)
    void this.#read()
  }

  get pid(): number {
    return this.#process.pid
  }

  /** The exit code, once it has ended. */
  get exited(): Promise<number> {
    return this.#process.exited
  }

  /** Gives an order: one line of JSON. */
  send(order: object): void {
    void this.#process.stdin.write(`${JSON.stringify(order)}\n`)
    void this.#process.stdin.flush()
  }

  /** The next event of this name, the oldest first. Rejects when the process ends without it. */
  next<Message>(event: string): Promise<Message> {
    const at = this.#unclaimed.findIndex(each => each.event === event)
    if (at >= 0) return Promise.resolve(this.#unclaimed.splice(at, 1)[0]?.message as Message)
    if (this.#hasEnded) return Promise.reject(this.#endError())
    return new Promise((found, failed) => {
      this.#waiters.add({ event, found: message => found(message as Message), failed })
    })
  }

  /** Gives an order and waits for the event of the same name. */
  ask<Message>(order: { readonly event: string }): Promise<Message> {
    this.send(order)
    return this.next<Message>(order.event)
  }

  /** Asks it to end and waits until it has. */
  async stop(): Promise<void> {
    this.#process.kill('SIGTERM')
    await this.#process.exited
  }

  /** Ends whatever is left, the newest first: a benchmark that failed half-way leaves nobody behind. */
  static async stopAll(): Promise<void> {
    for (const process of [...alive].reverse()) await process.stop()
  }

  async #read(): Promise<void> {
    const decoder = new TextDecoder()
    let rest = ''
    for await (const bytes of this.#process.stdout) {
      const lines = (rest + decoder.decode(bytes, { stream: true })).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) this.#line(line)
    }
    await this.#process.exited
    this.#hasEnded = true
    alive.delete(this)
    for (const { failed } of this.#waiters) failed(this.#endError())
    this.#waiters.clear()
  }

  #line(line: string): void {
    if (!line.startsWith('{')) return
    const message = JSON.parse(line) as { event: string }
    for (const waiter of this.#waiters)
      if (waiter.event === message.event) {
        this.#waiters.delete(waiter)
        waiter.found(message)
        return
      }
    this.#unclaimed.push({ event: message.event, message })
  }

  #endError(): Error {
    const log = readFileSync(this.#errorPath, 'utf8').trimEnd().split('\n').slice(-errorLinesShown)
    return new Error(`${this.name} ended (${this.#process.exitCode}):\n${log.join('\n')}`)
  }
}
