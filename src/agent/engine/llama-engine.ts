import { fileURLToPath } from 'node:url'
import type { Failure } from '../../protocol/errors.ts'
import {
  encodeJsonFrame,
  framePayloadBytesMax,
  FrameReader,
  frameKindToken,
  type Frame,
} from '../worker/frames.ts'
import type { BatchStatistics } from '../worker/batch-statistics.ts'
import {
  decodeWorkerReport,
  type WorkerReport,
  type WorkerRequest,
} from '../worker/worker-message.ts'
import { heldUpExitCode } from '../worker/grammar-guard.ts'
import { DeathLines } from './death-lines.ts'
import {
  heldUpExit,
  type Engine,
  type EngineEvent,
  type EngineModel,
  type EngineTask,
  type StartEngine,
} from './engine.ts'
import type { WorkerProgram } from './worker-program.ts'

export type LlamaEngineOptions = WorkerProgram & {
  /** Calls back once after so many milliseconds. @returns cancels it */
  readonly after: (ms: number, callback: () => void) => () => void
}

/** From the end of the worker's input to its being killed. It only has to leave its event loop. */
export const closeGraceMs = 2_000
/** Requests that may wait for a worker that does not read; it reads within milliseconds unless it hangs. */
export const workerInputBytesMax = 32 * 1024 * 1024

const workerDirectory = fileURLToPath(new URL('../worker/', import.meta.url))

/**
 * What a worker may see of the environment: where libraries, drivers and temporary files are, and which devices to
 * use. Keys, proxies and everything else stay here.
 */
const environmentNames: readonly string[] = [
  'PATH',
  'HOME',
  'LANG',
  'TMPDIR',
  'TEMP',
  'TMP',
  'SystemRoot',
  'LD_LIBRARY_PATH',
  'CUDA_VISIBLE_DEVICES',
  'CUDA_PATH',
  'GGML_VK_VISIBLE_DEVICES',
  'HIP_VISIBLE_DEVICES',
  'ROCR_VISIBLE_DEVICES',
]

/**
 * Where gdb is installed, ggml's abort starts it to print a backtrace: it takes seconds, outlives a kill of the worker, and
 * what it prints may hold texts of prompts.
 */
const quietAbort = { GGML_NO_BACKTRACE: '1' }

export function workerEnvironment(
  own: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string>> {
  const environment: Record<string, string> = { ...quietAbort }
  for (const name of environmentNames) {
    const value = own[name]
    if (value !== undefined) environment[name] = value
  }
  return environment
}

/** The worker from its source, as in a checkout. */
export const sourceWorker: WorkerProgram = {
  command: [process.execPath, `${workerDirectory}main.ts`],
  directory: workerDirectory,
  environment: workerEnvironment(process.env),
}

/** The worker from its source, with the process's own timers. */
export const sourceEngine: LlamaEngineOptions = {
  ...sourceWorker,
  after: (ms, callback) => {
    const timer = setTimeout(callback, ms)
    return () => {
      clearTimeout(timer)
    }
  },
}

export const startLlamaEngine = createStartLlamaEngine(sourceEngine)

/**
 * An engine that is a worker process. Everything that can go wrong with the process is one `died` event, after all it
 * said before; when `close` was called first there is none, since the caller knows.
 */
export function createStartLlamaEngine(
  options: LlamaEngineOptions,
): (...args: Parameters<StartEngine>) => LlamaEngine {
  return (model, onEvent) => {
    const worker = new LlamaWorker(options, onEvent)
    worker.load(model)
    return worker
  }
}

export type LlamaEngine = Engine & {
  /** What its batches held so far. The model must be loaded. @returns null when the process is gone */
  statistics(): Promise<BatchStatistics | null>
}

/** The job that did it has failed before; the others go on elsewhere, or here when the model is back. */
const heldUp: Failure = {
  code: 'model_unloaded',
  message: "one request's grammar held the worker up, and it was begun anew",
}

type Process = Bun.Subprocess<'pipe', 'pipe', 'pipe'>

/** Stream and attempt of a job as one number, exact below 2^48. */
const jobKey = (stream: number, attempt: number): number => stream * 65_536 + attempt

class LlamaWorker implements LlamaEngine {
  readonly #onEvent: (event: EngineEvent) => void
  readonly #after: LlamaEngineOptions['after']
  readonly #process: Process | null
  readonly #stderr = new DeathLines()
  readonly #gone: Promise<void>
  /** Jobs that may still be heard of. */
  readonly #jobs = new Set<number>()
  readonly #statisticsAsked: ((statistics: BatchStatistics | null) => void)[] = []
  #queuedBytes = 0
  #closing = false
  /** Why the process was killed by this side, if it was. */
  #violation: string | null = null

  constructor(options: LlamaEngineOptions, onEvent: (event: EngineEvent) => void) {
    this.#onEvent = onEvent
    this.#after = options.after
    const started = spawnWorker(options)
    this.#process = typeof started === 'string' ? null : started
    this.#gone = typeof started === 'string' ? this.#neverStarted(started) : this.#watch(started)
  }

  get pid(): number | undefined {
    return this.#process?.pid
  }

  load(model: EngineModel): void {
    this.#send({ type: 'load', ...model })
  }

  run(job: EngineTask): void {
    const { stream, attempt } = job
    this.#jobs.add(jobKey(stream, attempt))
    this.#stderr.jobsBegin()
    const error = this.#send('embed' in job ? { type: 'embed', ...job } : { type: 'run', ...job })
    if (error !== null) this.#report({ type: 'failed', stream, attempt, error })
  }

  cancel(stream: number, attempt: number): void {
    this.#jobs.delete(jobKey(stream, attempt))
    this.#send({ type: 'cancel', stream, attempt })
  }

  async statistics(): Promise<BatchStatistics | null> {
    const { promise, resolve } = Promise.withResolvers<BatchStatistics | null>()
    this.#statisticsAsked.push(resolve)
    this.#send({ type: 'ask_statistics' })
    void this.#gone.then(() => {
      resolve(null)
    })
    return promise
  }

  async close(): Promise<void> {
    if (!this.#closing && this.#process !== null) {
      this.#closing = true
      const worker = this.#process
      // Not awaited: it resolves when everything before it is written, and a hanging worker does not read.
      void Promise.resolve(worker.stdin.end()).catch(ignoreClosedPipe)
      const cancelKill = this.#after(closeGraceMs, () => {
        worker.kill('SIGKILL')
      })
      await this.#gone
      cancelKill()
    }
    await this.#gone
  }

  /** @returns why the request was not sent */
  #send(request: WorkerRequest): Failure | null {
    if (this.#process === null || this.#closing) return null
    const frame = encodeJsonFrame(request)
    // The worker would take a larger one for garbage and end, with everybody's jobs.
    if (frame.length > framePayloadBytesMax)
      return {
        code: 'payload_too_large',
        message: `the job has ${frame.length} bytes; the limit is ${framePayloadBytesMax}`,
      }
    if (this.#queuedBytes + frame.length > workerInputBytesMax)
      return { code: 'agent_refused', message: 'the worker does not read its requests' }
    this.#queuedBytes += frame.length
    const { stdin } = this.#process
    const written = Promise.resolve(stdin.write(frame)).then(() => stdin.flush())
    void written.catch(ignoreClosedPipe).then(() => {
      this.#queuedBytes -= frame.length
    })
    return null
  }

  async #neverStarted(reason: string): Promise<void> {
    // Later, as every event: the caller does not have the engine yet.
    await Promise.resolve()
    this.#onEvent({
      type: 'died',
      error: { code: 'worker_died', message: `the worker process did not start: ${reason}` },
      exit: 'not started',
    })
  }

  async #watch(worker: Process): Promise<void> {
    await Promise.all([this.#readOutput(worker), this.#readErrors(worker), worker.exited])
    if (this.#closing) return
    if (worker.exitCode === heldUpExitCode && this.#violation === null) {
      this.#onEvent({ type: 'died', error: heldUp, exit: heldUpExit })
      return
    }
    const exit =
      worker.signalCode === null ? `exit code ${worker.exitCode}` : `signal ${worker.signalCode}`
    const because = this.#violation === null ? exit : `${this.#violation}; ${exit}`
    const lines = this.#stderr.text
    this.#onEvent({
      type: 'died',
      error: {
        code: 'worker_died',
        message: `the worker process ended (${because})${lines === '' ? '' : `: ${lines}`}`,
      },
      exit,
    })
  }

  async #readOutput(worker: Process): Promise<void> {
    const reader = new FrameReader()
    for await (const chunk of worker.stdout) {
      const problem =
        reader.push(chunk, frame => {
          this.#receive(frame)
        }) ?? this.#violation
      if (problem === null) continue
      this.#violation = problem
      worker.kill('SIGKILL')
      return
    }
  }

  async #readErrors(worker: Process): Promise<void> {
    for await (const chunk of worker.stderr) this.#stderr.push(chunk)
  }

  #receive(frame: Frame): void {
    if (this.#violation !== null) return
    if (frame.kind === frameKindToken) {
      this.#receiveToken(frame.payload)
      return
    }
    const report = decodeWorkerReport(frame.payload)
    if (typeof report === 'string') this.#violation = report
    else if (report.type === 'statistics') this.#statisticsAsked.shift()?.(report.statistics)
    else this.#report(report)
  }

  /** Reads stream and attempt alone, at their fixed places (protocol/token-frame.ts). */
  #receiveToken(bytes: Uint8Array<ArrayBuffer>): void {
    if (bytes.length < 8) {
      this.#violation = 'the worker sent a token frame without a header'
      return
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset)
    if (this.#jobs.has(jobKey(view.getUint32(4, true), view.getUint16(2, true))))
      this.#onEvent({ type: 'token_frame', bytes })
  }

  /** Passes on what belongs to a job that was neither cancelled nor ended. */
  #report(report: Exclude<WorkerReport, { type: 'statistics' }>): void {
    if (!('stream' in report)) {
      this.#onEvent(report)
      return
    }
    const key = jobKey(report.stream, report.attempt)
    if (!this.#jobs.has(key)) return
    if (report.type !== 'started') this.#jobs.delete(key)
    this.#onEvent(report)
  }
}

/** @returns the process, or why it does not start */
export function spawnWorker({
  command,
  directory,
  environment,
}: LlamaEngineOptions): Process | string {
  try {
    return Bun.spawn([...command], {
      stdin: 'pipe',
      stdout: 'pipe',
      stderr: 'pipe',
      env: { ...environment },
      cwd: directory,
    })
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** A write to a worker that has just died; its death is reported when its output ends. */
export function ignoreClosedPipe(error: unknown): void {
  const code = error instanceof Error && 'code' in error ? error.code : null
  if (code !== 'EPIPE' && code !== 'ECONNRESET' && code !== 'EBADF') throw error
}
