import type {
  Engine,
  EngineEvent,
  EngineJob,
  EngineModel,
  EngineTask,
} from '../src/agent/engine/engine.ts'
import { jobKey } from '../src/agent/instance.ts'
import type { Timers } from '../src/agent/timers.ts'
import { AnswerWriter } from '../src/agent/worker/answer-writer.ts'
import type { Failure } from '../src/protocol/errors.ts'
import { isEndOfTurn, PretendAnswer, tokenBytes } from './pretend-model.ts'
import type { Random } from './random.ts'

/** What a machine's engines are like now; it changes while they run. */
export type EngineManner = {
  loadMs: number
  readonly tokenMs: number
  /** A factor: it is slowed down by heat, or by somebody's game. */
  slowness: number
  /** Tokens that come together. */
  burstTokens: number
  /** What it says of its slots; null: what it was asked for. */
  slotsClaimed: number | null
  /** Probabilities: of a load, and of a step of an answer. */
  loadFails: number
  loadDies: number
  stepDies: number
  stepFails: number
  stepHangs: number
}

type Running = {
  readonly job: EngineJob
  readonly answer: PretendAnswer
  readonly writer: AnswerWriter
}

const prefillMsPerToken = 2

/** A worker process that pretends: it says what a real one says, with the answers of the pretend model. */
export class SimEngine implements Engine {
  readonly pid = 1
  readonly #timers: Timers
  readonly #random: Random
  readonly #manner: EngineManner
  readonly #onEvent: (event: EngineEvent) => void
  readonly #running = new Map<number, Running>()
  #waiting: EngineTask[] = []
  #state: 'loading' | 'ready' | 'gone' = 'loading'

  constructor(
    model: EngineModel,
    onEvent: (event: EngineEvent) => void,
    surroundings: {
      readonly timers: Timers
      readonly random: Random
      readonly manner: EngineManner
    },
  ) {
    this.#timers = surroundings.timers
    this.#random = surroundings.random
    this.#manner = surroundings.manner
    this.#onEvent = onEvent
    const loadMs = this.#manner.loadMs * this.#random.between(0.5, 1.5)
    this.#timers.after(loadMs / 2, () => this.#say({ type: 'loading', progress: 0.5 }))
    this.#timers.after(loadMs, () => this.#loaded(model, loadMs))
  }

  run(job: EngineTask): void {
    if (this.#state === 'loading') this.#waiting.push(job)
    else if ('chat' in job) this.#begin(job)
  }

  cancel(stream: number, attempt: number): void {
    const key = jobKey({ stream, attempt })
    this.#running.delete(key)
    this.#waiting = this.#waiting.filter(job => jobKey(job) !== key)
  }

  close(): Promise<void> {
    this.#state = 'gone'
    return new Promise(resolve => this.#timers.after(this.#random.between(10, 400), resolve))
  }

  #say(event: EngineEvent): void {
    if (this.#state !== 'gone') this.#onEvent(event)
  }

  #loaded({ contextTokens, slots }: EngineModel, loadMs: number): void {
    if (this.#state === 'gone') return
    const { loadFails, loadDies, slotsClaimed } = this.#manner
    if (this.#random.chance(loadDies)) return this.#die()
    if (this.#random.chance(loadFails)) {
      const error: Failure = { code: 'model_load_failed', message: 'the file cannot be read' }
      return this.#say({ type: 'load_failed', error })
    }
    this.#state = 'ready'
    this.#say({ type: 'ready', contextTokens, slots: slotsClaimed ?? slots, loadMs })
    for (const job of this.#waiting.splice(0)) this.run(job)
  }

  #begin(job: EngineJob): void {
    const answer = new PretendAnswer(job.chat)
    const { stream, attempt, chat, continuation } = job
    const writer = new AnswerWriter({
      stream,
      attempt,
      tokenBytes,
      isEndOfTurn,
      sendTokenFrame: bytes =>
        this.#say({ type: 'token_frame', bytes: bytes as Uint8Array<ArrayBuffer> }),
      reducer: {
        stop: chat.stop,
        tools: false,
        singleToolCall: false,
        reasoning: 'none',
        toolCallSeed: 0,
      },
    })
    const running = { job, answer, writer }
    this.#running.set(jobKey(job), running)
    const { promptTokens } = answer
    const prefilled = promptTokens + (continuation?.tokenIds.length ?? 0)
    this.#timers.after(prefilled * prefillMsPerToken, () => this.#start(running))
  }

  #start(running: Running): void {
    const { job, answer, writer } = running
    if (!this.#isRunning(running)) return
    const { stream, attempt, continuation } = job
    const { promptTokens, promptSha256 } = answer
    this.#say({ type: 'started', stream, attempt, promptTokens, promptSha256 })
    if (continuation !== null) {
      for (const tokenId of continuation.tokenIds) answer.accept(tokenId)
      const isComplete = () => reasonOf(running) !== null
      if (!writer.replay(continuation.tokenIds, continuation.deliveredBytes, isComplete)) {
        const message = 'the continuation does not fit what was delivered'
        return this.#fail(running, { code: 'internal', message })
      }
    }
    if (reasonOf(running) === null) this.#later(running)
    else this.#finish(running)
  }

  #later(running: Running): void {
    const { tokenMs, slowness, burstTokens } = this.#manner
    const ms = tokenMs * slowness * burstTokens * this.#random.between(0.7, 1.3)
    this.#timers.after(ms, () => this.#step(running))
  }

  #step(running: Running): void {
    if (!this.#isRunning(running)) return
    const { stepDies, stepFails, stepHangs, burstTokens } = this.#manner
    if (this.#random.chance(stepDies)) return this.#die()
    if (this.#random.chance(stepFails))
      return this.#fail(running, { code: 'internal', message: 'the engine failed' })
    if (this.#random.chance(stepHangs)) return
    for (let left = burstTokens; left > 0; left--) {
      const tokenId = running.answer.next()
      running.answer.accept(tokenId)
      running.writer.accept(tokenId)
      if (reasonOf(running) === null) continue
      running.writer.finish()
      return this.#finish(running)
    }
    this.#later(running)
  }

  #isRunning({ job }: Running): boolean {
    return this.#state === 'ready' && this.#running.has(jobKey(job))
  }

  #finish(running: Running): void {
    const { stream, attempt } = running.job
    this.#running.delete(jobKey(running.job))
    const reason = reasonOf(running) ?? 'stop'
    this.#say({ type: 'finished', stream, attempt, reason, tokens: running.writer.tokens })
  }

  #fail({ job }: Running, error: Failure): void {
    this.#running.delete(jobKey(job))
    const { stream, attempt } = job
    this.#say({ type: 'failed', stream, attempt, error })
  }

  #die(): void {
    const error: Failure = { code: 'worker_died', message: 'the worker is gone' }
    this.#say({ type: 'died', error, exit: 'SIGSEGV' })
    this.#state = 'gone'
  }
}

function reasonOf({ job, writer }: Running): 'stop' | 'length' | 'tool_calls' | null {
  if (writer.ended !== null) return writer.ended
  return job.chat.maxTokens !== null && writer.tokens >= job.chat.maxTokens ? 'length' : null
}
