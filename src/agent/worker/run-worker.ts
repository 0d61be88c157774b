import { writeSync } from 'node:fs'
import { systemClock } from '../../clock.ts'
import type { Failure } from '../../protocol/errors.ts'
import type { EngineModel, EngineTask } from '../engine/engine.ts'
import { examineEngine } from './examine.ts'
import { examineArgument } from './examine-message.ts'
import { FrameReader, frameKindJson } from './frames.ts'
import { JobTable, jobsWaitingMax } from './job-table.ts'
import type { Embedder } from './embedder.ts'
import type { loadModel, LoadedModel } from './load-model.ts'
import { measure } from './measure.ts'
import { dieWithParent, takeFrameOutput } from './native-process.ts'
import type { runTask } from './run-task.ts'
import { decodeWorkerRequest, type WorkerRequest } from './worker-message.ts'
import { createWorkerOutput, type WorkerOutput } from './worker-output.ts'

/** What a worker does. Tests have a worker of their own that wraps them, so that no switch for tests is in the real one. */
export type WorkerParts = {
  readonly loadModel: typeof loadModel
  readonly runTask: typeof runTask
}

/**
 * The inference worker: one process, one loaded model. Frames come in on standard input and go out on what was
 * standard output (frames.ts). It has no network, no keys and no state worth keeping, so it ends by process.exit whenever
 * its input does; an orderly teardown of native code has crashed before (oven-sh/bun#37201) and helps nobody.
 */
export async function runWorker(parts: WorkerParts): Promise<never> {
  const frameOutput = takeFrameOutput()
  dieWithParent()
  if (process.argv[2] === examineArgument) {
    writeSync(frameOutput, `${JSON.stringify(await examineEngine(process.argv[3] ?? null))}\n`)
    process.exit(0)
  }
  const worker = new Worker(parts, createWorkerOutput(frameOutput))
  const reader = new FrameReader()
  for await (const chunk of Bun.stdin.stream()) {
    const problem = reader.push(chunk, frame => {
      const request =
        frame.kind === frameKindJson
          ? decodeWorkerRequest(frame.payload)
          : 'only JSON comes in here'
      if (typeof request === 'string') throw new Error(request)
      worker.handle(request)
    })
    if (problem !== null) throw new Error(problem)
  }
  process.exit(0)
}

type ModelState =
  | { readonly state: 'none' | 'loading' }
  | { readonly state: 'ready'; readonly model: LoadedModel | Embedder }
  | { readonly state: 'failed'; readonly error: Failure }

/** A report for every twentieth of the way is enough for a progress bar. */
const progressStep = 0.05

class Worker {
  readonly #parts: WorkerParts
  readonly #output: WorkerOutput
  readonly #jobs: JobTable
  #current: ModelState = { state: 'none' }

  constructor(parts: WorkerParts, output: WorkerOutput) {
    this.#parts = parts
    this.#output = output
    this.#jobs = new JobTable(async entry => {
      if (this.#current.state !== 'ready') throw new Error('a job was started without a model')
      await parts.runTask(this.#current.model, entry, output)
    })
  }

  handle(request: WorkerRequest): void {
    switch (request.type) {
      case 'load':
        if (this.#current.state !== 'none') throw new Error('a worker loads one model, once')
        void this.#load(request)
        return
      case 'run':
      case 'embed':
        this.#run(request)
        return
      case 'cancel':
        this.#jobs.cancel(request.stream, request.attempt)
        return
      case 'ask_statistics':
        if (this.#current.state !== 'ready' || this.#current.model.kind !== 'chat')
          throw new Error('only a worker with a chat model has statistics')
        this.#output.say({
          type: 'statistics',
          statistics: this.#current.model.counter.statistics,
        })
        return
      case 'measure':
        if (this.#current.state !== 'none')
          throw new Error('a worker that has a model measures nothing')
        this.#current = { state: 'loading' }
        void measure(request).then(report => this.#output.say(report))
    }
  }

  async #load(options: EngineModel): Promise<void> {
    const startedAt = systemClock.now()
    this.#current = { state: 'loading' }
    this.#output.say({ type: 'loading', progress: null })
    let said = 0
    const model = await this.#parts.loadModel(options, progress => {
      if (progress < said + progressStep) return
      said = progress
      this.#output.say({ type: 'loading', progress: Math.min(1, progress) })
    })
    if ('code' in model) {
      this.#current = { state: 'failed', error: model }
      this.#output.say({ type: 'load_failed', error: model })
      for (const job of this.#jobs.takeWaiting()) this.#fail(job, model)
      return
    }
    this.#current = { state: 'ready', model }
    this.#output.say({
      type: 'ready',
      contextTokens: model.contextTokens,
      slots: slotsOf(model),
      loadMs: systemClock.now() - startedAt,
    })
    this.#jobs.open(slotsOf(model))
  }

  #run(job: EngineTask): void {
    if (this.#current.state === 'failed') this.#fail(job, this.#current.error)
    else if (!this.#jobs.add(job))
      this.#fail(job, {
        code: 'agent_refused',
        message: `${jobsWaitingMax} jobs wait here already`,
      })
  }

  #fail({ stream, attempt }: EngineTask, error: Failure): void {
    this.#output.say({ type: 'failed', stream, attempt, error })
  }
}

const slotsOf = (model: LoadedModel | Embedder): number =>
  model.kind === 'chat' ? model.sequences.length : model.slots
