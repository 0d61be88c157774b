import { writeSync } from 'node:fs'
import { systemClock } from '../../clock.ts'
import type { Failure } from '../../protocol/errors.ts'
import type { EngineModel, EngineTask } from '../engine/engine.ts'
import { examineEngine } from './examine.ts'
import { examineArgument } from './examine-message.ts'
import { FrameReader, frameKindJson } from './frames.ts'
import { JobTable, jobsWaitingMax } from './job-table.ts'
import type { Embedder } from './embedder.ts'
import { loadModel, type LoadedModel } from './load-model.ts'
import { measure } from './measure.ts'
import { dieWithParent, takeFrameOutput } from './native-process.ts'
import { runTask } from './run-task.ts'
import { decodeWorkerRequest, type WorkerRequest } from './worker-message.ts'
import { createWorkerOutput } from './worker-output.ts'

/*
 * The inference worker: one process, one loaded model. Frames come in on standard input and go out on what was
 * standard output (frames.ts). It has no network, no keys and no state worth keeping, so it ends by process.exit whenever
 * its input does; an orderly teardown of native code has crashed before (oven-sh/bun#37201) and helps nobody.
 */

const frameOutput = takeFrameOutput()
dieWithParent()
if (process.argv[2] === examineArgument) {
  writeSync(frameOutput, `${JSON.stringify(await examineEngine(process.argv[3] ?? null))}\n`)
  process.exit(0)
}

const output = createWorkerOutput(frameOutput)

type ModelState =
  | { readonly state: 'none' | 'loading' }
  | { readonly state: 'ready'; readonly model: LoadedModel | Embedder }
  | { readonly state: 'failed'; readonly error: Failure }
let current: ModelState = { state: 'none' }

const jobs = new JobTable(async entry => {
  if (current.state !== 'ready') throw new Error('a job was started without a model')
  await runTask(current.model, entry, output)
})

/** A report for every twentieth of the way is enough for a progress bar. */
const progressStep = 0.05

async function load(options: EngineModel): Promise<void> {
  const startedAt = systemClock.now()
  current = { state: 'loading' }
  output.say({ type: 'loading', progress: null })
  let said = 0
  const model = await loadModel(options, progress => {
    if (progress < said + progressStep) return
    said = progress
    output.say({ type: 'loading', progress: Math.min(1, progress) })
  })
  if ('code' in model) {
    current = { state: 'failed', error: model }
    output.say({ type: 'load_failed', error: model })
    for (const job of jobs.takeWaiting()) fail(job, model)
    return
  }
  current = { state: 'ready', model }
  output.say({
    type: 'ready',
    contextTokens: model.contextTokens,
    slots: slotsOf(model),
    loadMs: systemClock.now() - startedAt,
  })
  jobs.open(slotsOf(model))
}

const slotsOf = (model: LoadedModel | Embedder): number =>
  model.kind === 'chat' ? model.sequences.length : model.slots

function run(job: EngineTask): void {
  if (current.state === 'failed') fail(job, current.error)
  else if (!jobs.add(job))
    fail(job, { code: 'agent_refused', message: `${jobsWaitingMax} jobs wait here already` })
}

function fail({ stream, attempt }: EngineTask, error: Failure): void {
  output.say({ type: 'failed', stream, attempt, error })
}

function handle(request: WorkerRequest): void {
  switch (request.type) {
    case 'load':
      if (current.state !== 'none') throw new Error('a worker loads one model, once')
      void load(request)
      return
    case 'run':
    case 'embed':
      run(request)
      return
    case 'cancel':
      jobs.cancel(request.stream, request.attempt)
      return
    case 'ask_statistics':
      if (current.state !== 'ready' || current.model.kind !== 'chat')
        throw new Error('only a worker with a chat model has statistics')
      output.say({ type: 'statistics', statistics: current.model.counter.statistics })
      return
    case 'measure':
      if (current.state !== 'none') throw new Error('a worker that has a model measures nothing')
      current = { state: 'loading' }
      void measure(request).then(report => output.say(report))
  }
}

const reader = new FrameReader()
for await (const chunk of Bun.stdin.stream()) {
  const problem = reader.push(chunk, frame => {
    const request =
      frame.kind === frameKindJson ? decodeWorkerRequest(frame.payload) : 'only JSON comes in here'
    if (typeof request === 'string') throw new Error(request)
    handle(request)
  })
  if (problem !== null) throw new Error(problem)
}
process.exit(0)
