import { fileURLToPath } from 'node:url'
import { lookRequest, type NvmlReport } from './nvml-reader.ts'

/**
 * NVML runs in a process of its own, for three reasons. Its calls are synchronous and a driver in trouble answers them
 * after minutes or never: on a thread of the agent they would stop its event loop, and on a worker thread they would
 * still keep the agent from ending, because a thread inside the kernel cannot be stopped. A driver library that crashes
 * (nvidia-smi under WSL2 was seen to) takes only this process along. And a new process starts with a fresh library after
 * a driver update. It lives on between looks, since starting NVML anew for each would wake and initialise every card.
 */
export type NvmlProcessOptions = {
  /** Starts the reading process: an executable and its arguments. */
  readonly command: readonly string[]
  readonly directory: string
  readonly environment: Readonly<Record<string, string>>
  /** Calls back once, later. @returns takes it back */
  readonly after: (ms: number, callback: () => void) => () => void
}

export type NvmlOutcome =
  | NvmlReport
  /** The process ended before it answered, or could not be started. */
  | { readonly type: 'died'; readonly reason: string }
  /** No answer in time; `reason` says since when. */
  | { readonly type: 'hung'; readonly reason: string }

/** The first look starts NVML, which takes seconds per card where no persistence daemon runs. */
const firstLookLimitMs = 30_000
const lookLimitMs = 5_000
/** 64 devices with all their facts are below 100 kB. */
const answerBytesMax = 1024 * 1024

type Child = {
  readonly process: Bun.Subprocess<'pipe', 'pipe', 'ignore'>
  answered: boolean
}

export class NvmlProcess {
  readonly #options: NvmlProcessOptions
  #child: Child | null = null
  /** Killed and not yet ended: it hangs inside the driver. No other is started beside it. Settles with its end. */
  #stuck: Promise<void> | null = null
  #underway: Promise<NvmlOutcome> | null = null
  /** Settles the look that is under way. */
  #settle: (outcome: NvmlOutcome) => void = () => {}

  constructor(options: NvmlProcessOptions) {
    this.#options = options
  }

  /** Id of the reading process, while there is one. */
  get pid(): number | undefined {
    return this.#child?.process.pid
  }

  /** Asks once. Never rejects, never takes longer than its time limit; a second caller shares the first one's answer. */
  look(): Promise<NvmlOutcome> {
    this.#underway ??= this.#look().finally(() => {
      this.#underway = null
    })
    return this.#underway
  }

  /** Resolves when no process hangs inside the driver: at once, as a rule, and otherwise perhaps never. */
  async free(): Promise<void> {
    await this.#stuck
  }

  /** Ends the process and waits for its end. One that hangs was killed before and is not waited for. */
  async close(): Promise<void> {
    const child = this.#child
    if (child === null) return
    this.#child = null
    this.#settle({ type: 'died', reason: 'the reading process was closed' })
    child.process.kill('SIGKILL')
    await child.process.exited
  }

  async #look(): Promise<NvmlOutcome> {
    if (this.#stuck !== null)
      return { type: 'hung', reason: 'the driver still does not answer an earlier question' }
    const child = this.#child ?? this.#start()
    if (typeof child === 'string') return { type: 'died', reason: child }
    const { promise, resolve } = Promise.withResolvers<NvmlOutcome>()
    this.#settle = resolve
    const limitMs = child.answered ? lookLimitMs : firstLookLimitMs
    const cancel = this.#options.after(limitMs, () => {
      this.#giveUp(child)
      resolve({ type: 'hung', reason: `the driver gave no answer within ${limitMs / 1000} s` })
    })
    await send(child.process)
    const outcome = await promise
    cancel()
    if (outcome.type !== 'died' && outcome.type !== 'hung') child.answered = true
    return outcome
  }

  #start(): Child | string {
    try {
      const process = Bun.spawn([...this.#options.command], {
        cwd: this.#options.directory,
        env: this.#options.environment,
        stdio: ['pipe', 'pipe', 'ignore'],
        windowsHide: true,
      })
      process.unref()
      const child: Child = { process, answered: false }
      this.#child = child
      void this.#read(child)
      return child
    } catch (error) {
      return `the reading process does not start: ${String(error)}`
    }
  }

  /** Follows one process from start to end. */
  async #read(child: Child): Promise<void> {
    const decoder = new TextDecoder()
    let rest = ''
    for await (const chunk of child.process.stdout) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
      rest = lines.pop() ?? ''
      if (rest.length > answerBytesMax) break
      for (const line of lines) {
        const report = reportOf(line)
        if (report !== null && this.#child === child) this.#settle(report)
      }
    }
    if (rest.length > answerBytesMax) child.process.kill('SIGKILL')
    await child.process.exited
    if (this.#child !== child) return
    this.#child = null
    this.#settle({ type: 'died', reason: endOf(child.process) })
  }

  #giveUp(child: Child): void {
    this.#child = null
    child.process.kill('SIGKILL')
    this.#stuck = child.process.exited.then(() => {
      this.#stuck = null
    })
  }
}

async function send({ stdin }: Child['process']): Promise<void> {
  try {
    await stdin.write(`${lookRequest}\n`)
    await stdin.flush()
  } catch {
    // The process has ended; the one who reads its output says so.
  }
}

const reportTypes: readonly string[] = [
  'devices',
  'refused',
  'no_library',
] satisfies readonly NvmlReport['type'][]

/** Null for a line that is no report: a driver's library may print what it likes. */
function reportOf(line: string): NvmlReport | null {
  if (!line.startsWith('{')) return null
  try {
    const value: unknown = JSON.parse(line)
    const type: unknown = Object(value)['type']
    return typeof type === 'string' && reportTypes.includes(type) ? (value as NvmlReport) : null
  } catch {
    return null
  }
}

function endOf(process: Child['process']): string {
  const how = process.signalCode ?? `exit status ${process.exitCode ?? 'unknown'}`
  return `the NVIDIA driver's library ended the process that asked it (${how})`
}

/** The argument by which the agent's executable becomes the reading process. */
export const nvmlReaderArgument = 'nvml-reader'

const environmentNames: readonly string[] = [
  'PATH',
  'LD_LIBRARY_PATH',
  'SystemRoot',
  'ProgramFiles',
  'ProgramW6432',
  'TMPDIR',
  'TEMP',
  'TMP',
]

/** How this program starts its reading process, from a checkout or as one executable. */
export function nvmlProcessOptions(): NvmlProcessOptions {
  const here = fileURLToPath(new URL('.', import.meta.url))
  // A crash of the driver's library is for the owner to know; Bun would send it to its makers.
  const environment: Record<string, string> = { BUN_ENABLE_CRASH_REPORTING: '0' }
  for (const name of environmentNames) {
    const value = process.env[name]
    if (value !== undefined) environment[name] = value
  }
  return {
    command: Bun.isStandaloneExecutable
      ? [process.execPath, nvmlReaderArgument]
      : [process.execPath, `${here}nvml-reader-main.ts`],
    // Bun reads .env and bunfig.toml of its folder: a stranger's must not configure the process.
    directory: Bun.isStandaloneExecutable ? process.cwd() : here,
    environment,
    after(ms, callback) {
      const timer = setTimeout(callback, ms)
      return () => clearTimeout(timer)
    },
  }
}
