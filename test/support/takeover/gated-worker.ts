import { connect, type Socket } from 'node:net'
import type { EngineJob } from '../../../src/agent/engine/engine.ts'
import type { JobEntry } from '../../../src/agent/worker/job-table.ts'
import { loadModel, type LoadedModel } from '../../../src/agent/worker/load-model.ts'
import { runTask } from '../../../src/agent/worker/run-task.ts'
import { runWorker, type WorkerParts } from '../../../src/agent/worker/run-worker.ts'
import type { WorkerOutput } from '../../../src/agent/worker/worker-output.ts'
import type { TokenFrame } from '../../../src/protocol/token-frame.ts'
import { decodeTokenFrames } from '../../../src/protocol/token-frames.ts'
import {
  gateVariable,
  lineOf,
  LineReader,
  machineVariable,
  type Attempt,
  type GateWord,
  type SentFrame,
  type StopAt,
  type WorkerWord,
} from './gate-message.ts'
import { buildVariable, useBuild, type Build } from './other-build.ts'

/*
 * The real worker with a gate in front of its sampler. It is a program of its own, so the worker that everybody has holds no
 * switch that a client, a server or an environment variable could turn.
 */

/** The worker's end of the line to the test. */
class GateLine {
  readonly #socket: Socket
  readonly #waiting = new Map<string, (stopAt: StopAt) => void>()

  constructor(path: string) {
    const reader = new LineReader<GateWord>()
    this.#socket = connect(path)
    this.#socket.on('data', (bytes: Buffer) => {
      for (const word of reader.push(bytes)) this.#hear(word)
    })
    const machine = process.env[machineVariable] ?? ''
    this.say({ say: 'here', machine, pid: process.pid })
  }

  /** @returns where to stop next */
  ask(word: Extract<WorkerWord, { say: 'begun' | 'standing' }>): Promise<StopAt> {
    const { promise, resolve } = Promise.withResolvers<StopAt>()
    this.#waiting.set(keyOf(word), resolve)
    this.say(word)
    return promise
  }

  say(word: WorkerWord): void {
    this.#socket.write(lineOf(word))
  }

  #hear(word: GateWord): void {
    const key = keyOf(word)
    const resolve = this.#waiting.get(key)
    this.#waiting.delete(key)
    resolve?.(word.stopAt)
  }
}

const keyOf = ({ stream, attempt }: Attempt): string => `${stream}/${attempt}`

/** One job's way through the gate. */
class GatedJob {
  readonly #line: GateLine
  readonly #attempt: Attempt
  #stopAt: StopAt
  #tokens: number
  /** What is only said once the job is past its last stops: text that was held back to the end, then the end. */
  readonly #tail: (() => void)[] = []
  #end: (() => void) | null = null
  readonly #frames: SentFrame[] = []

  constructor(line: GateLine, attempt: Attempt, tokens: number, stopAt: StopAt) {
    this.#line = line
    this.#attempt = attempt
    this.#tokens = tokens
    this.#stopAt = stopAt
  }

  static async begin(line: GateLine, { job }: JobEntry<EngineJob>): Promise<GatedJob> {
    const attempt = { stream: job.stream, attempt: job.attempt }
    const tokenIds = job.continuation?.tokenIds ?? []
    const stopAt = await line.ask({ say: 'begun', ...attempt, tokenIds })
    return new GatedJob(line, attempt, tokenIds.length, stopAt)
  }

  gateSampler(model: LoadedModel): LoadedModel {
    return {
      ...model,
      createSampler: async (chat, beginning) => {
        const sampler = await model.createSampler(chat, beginning)
        if ('code' in sampler) return sampler
        return {
          next: async (cache, tokenIds) => {
            await this.#pass(this.#tokens)
            const drawn = await sampler.next(cache, tokenIds)
            this.#tokens++
            return drawn
          },
        }
      },
    }
  }

  holdTail(output: WorkerOutput): WorkerOutput {
    let isFirst = true
    return {
      sendTokenFrame: bytes => {
        const { tokenId, index, segments } = frameOf(bytes)
        // Text that a continuation owes comes before its first token.
        if (tokenId === null && !isFirst) this.#tail.push(() => output.sendTokenFrame(bytes))
        else output.sendTokenFrame(bytes)
        this.#frames.push({ index, tokenId, segments })
        isFirst = false
      },
      say: report => {
        if (report.type === 'finished') this.#end = () => output.say(report)
        else output.say(report)
      },
    }
  }

  async finish(): Promise<void> {
    await this.#pass(this.#tokens)
    for (const send of this.#tail) send()
    await this.#pass(this.#tokens + 1)
    this.#end?.()
    this.#line.say({ say: 'ended', ...this.#attempt, frames: this.#frames })
  }

  async #pass(at: number): Promise<void> {
    while (this.#stopAt === at)
      this.#stopAt = await this.#line.ask({
        say: 'standing',
        ...this.#attempt,
        tokens: this.#tokens,
      })
  }
}

function frameOf(bytes: Uint8Array): TokenFrame {
  const decoded = decodeTokenFrames(bytes)
  const frame = typeof decoded === 'string' ? undefined : decoded.frames[0]
  if (frame?.type !== 'token') throw new Error('the worker sends something else')
  return frame
}

// What it needs is a folder that is the agent's own.
await useBuild((process.env[buildVariable] ?? 'as-it-is') as Build, process.cwd())

const line = new GateLine(process.env[gateVariable] ?? '')

const gated: WorkerParts['runTask'] = async (model, entry, output) => {
  if (model.kind !== 'chat' || !('chat' in entry.job)) {
    await runTask(model, entry, output)
    return
  }
  const job = await GatedJob.begin(line, entry as JobEntry<EngineJob>)
  await runTask(job.gateSampler(model), entry, job.holdTail(output))
  await job.finish()
}

await runWorker({ loadModel, runTask: gated })
