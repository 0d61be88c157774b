import type { Failure } from '../../protocol/errors.ts'
import { encodeJsonFrame, FrameReader } from '../worker/frames.ts'
import {
  decodeMeasureReport,
  type Measured,
  type MeasureRequest,
} from '../worker/measure-message.ts'
import { LastLines } from './last-lines.ts'
import { ignoreClosedPipe, spawnWorker, type LlamaEngineOptions } from './llama-engine.ts'

export type MeasureOrder = Omit<MeasureRequest, 'type'> & {
  /** Added to the worker's environment, for example to show it one device alone. */
  readonly environment: Readonly<Record<string, string>>
}

/** How a measurement ended. `crashed`: the process died, which says something about driver or engine. */
export type MeasureOutcome =
  Measured | { readonly type: 'failed'; readonly error: Failure; readonly crashed: boolean }

/** A measurement that runs, in a process of its own. */
export type Measuring = {
  readonly pid: number | undefined
  /** Never rejects. */
  readonly outcome: Promise<MeasureOutcome>
  /** Kills it. Resolves when the process is gone and its memory free. */
  stop(): Promise<void>
}

export type StartMeasuring = (order: MeasureOrder) => Measuring

/** Measures in a worker process. It is killed rather than asked to end: whoever wants the device back wants it now. */
export function createStartMeasuring(options: LlamaEngineOptions): StartMeasuring {
  return ({ environment, ...order }) => {
    const all = { ...options.environment, ...environment }
    const worker = spawnWorker({ ...options, environment: all })
    if (typeof worker === 'string') {
      const outcome = Promise.resolve(dead(`the worker process did not start: ${worker}`))
      return { pid: undefined, outcome, stop: () => Promise.resolve() }
    }
    const request: MeasureRequest = { type: 'measure', ...order }
    const written = Promise.resolve(worker.stdin.write(encodeJsonFrame(request)))
    void written.then(() => worker.stdin.flush()).catch(ignoreClosedPipe)
    const outcome = readOutcome(worker)
    return {
      pid: worker.pid,
      outcome,
      async stop() {
        worker.kill('SIGKILL')
        await worker.exited
        await outcome
      },
    }
  }
}

type Process = Exclude<ReturnType<typeof spawnWorker>, string>

async function readOutcome(worker: Process): Promise<MeasureOutcome> {
  const [report, lines] = await Promise.all([readReport(worker), readErrors(worker)])
  await worker.exited
  if (report === null) {
    const exit = worker.signalCode === null ? `code ${worker.exitCode}` : worker.signalCode
    return dead(`the worker process ended (${exit})${lines === '' ? '' : `: ${lines}`}`)
  }
  if (typeof report === 'string') return dead(report)
  return report.type === 'measured'
    ? report
    : { type: 'failed', error: report.error, crashed: false }
}

/** @returns the one report, null when the process ends without it, or what is wrong with what it said */
async function readReport(worker: Process): Promise<ReturnType<typeof decodeMeasureReport> | null> {
  const reader = new FrameReader()
  for await (const chunk of worker.stdout) {
    const reports: ReturnType<typeof decodeMeasureReport>[] = []
    const problem = reader.push(chunk, frame => {
      reports.push(decodeMeasureReport(frame))
    })
    const said = problem ?? reports[0]
    if (said === undefined) continue
    // It has nothing more to say, and its memory is wanted back.
    worker.kill('SIGKILL')
    return said
  }
  return null
}

async function readErrors(worker: Process): Promise<string> {
  const lines = new LastLines()
  for await (const chunk of worker.stderr) lines.push(chunk)
  return lines.text
}

const dead = (message: string): MeasureOutcome => ({
  type: 'failed',
  error: { code: 'worker_died', message },
  crashed: true,
})
