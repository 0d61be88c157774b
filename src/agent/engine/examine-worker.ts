import { Compile } from 'typebox/compile'
import type { Timers } from '../timers.ts'
import {
  EngineReportSchema,
  examineArgument,
  type EngineReport,
} from '../worker/examine-message.ts'
import { LastLines } from './last-lines.ts'
import type { WorkerProgram } from './worker-program.ts'

export type EngineExamination =
  | { readonly type: 'report'; readonly report: EngineReport }
  /** The process ended or was ended without a report; native code that crashes takes it along. */
  | { readonly type: 'failed'; readonly reason: string }

const reportCheck = Compile(EngineReportSchema)
const outputBytesMax = 64 * 1024

/** Has a worker look at the engine. A worker that takes longer than `deadlineMs` is killed. */
export async function examineWorker(
  { command, directory, environment }: WorkerProgram,
  modelPath: string | null,
  timers: Timers,
  deadlineMs: number,
): Promise<EngineExamination> {
  let worker: Bun.Subprocess<'pipe', 'pipe', 'pipe'>
  try {
    worker = Bun.spawn([...command, examineArgument, ...(modelPath === null ? [] : [modelPath])], {
      // Held open: the worker takes the end of its input for the end of its agent.
      stdin: 'pipe',
      stdout: 'pipe',
      stderr: 'pipe',
      env: { ...environment },
      cwd: directory,
    })
  } catch (error) {
    return { type: 'failed', reason: `the worker does not start: ${String(error)}` }
  }
  let overdue = false
  const cancel = timers.after(deadlineMs, () => {
    overdue = true
    worker.kill('SIGKILL')
  })
  const errors = new LastLines()
  const [output] = await Promise.all([
    readText(worker.stdout),
    collect(worker.stderr, errors),
    worker.exited,
  ])
  cancel()
  if (overdue) return { type: 'failed', reason: `no answer within ${deadlineMs / 1000} s` }
  const report = parseReport(output)
  if (report !== null) return { type: 'report', report }
  const exit = worker.signalCode ?? `exit code ${worker.exitCode}`
  return { type: 'failed', reason: `the worker ended (${exit}) ${errors.text}`.trim() }
}

async function readText(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  // What is beyond the bound is read and dropped, so that the worker does not wait for a reader.
  for await (const chunk of stream)
    if (text.length < outputBytesMax) text += decoder.decode(chunk, { stream: true })
  return text
}

async function collect(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  lines: LastLines,
): Promise<void> {
  for await (const chunk of stream) lines.push(chunk)
}

/** The last line that is a report: where frames go to standard output itself, drivers may have printed before it. */
function parseReport(output: string): EngineReport | null {
  for (const line of output.split('\n').reverse()) {
    try {
      const value: unknown = JSON.parse(line)
      if (reportCheck.Check(value)) return value
    } catch {
      continue
    }
  }
  return null
}
