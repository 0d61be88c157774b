import { startLlamaEngine, type LlamaEngine } from '../../src/agent/engine/llama-engine.ts'
import type { EngineEvent } from '../../src/agent/engine/engine.ts'
import { decodeTokenFrames } from '../../src/protocol/token-frames.ts'
import { CannotRun } from '../harness/context.ts'
import type { Batches, Question, Side, SideModel, TimedAnswer } from './side.ts'

type Running = {
  readonly onEvent: (event: EngineEvent) => void
  readonly onText: (text: string, isToken: boolean) => void
}

/** The built-in worker, driven as the agent drives it. */
export class OurEngine implements Side {
  readonly #engine: LlamaEngine
  readonly #running = new Map<number, Running>()
  readonly #ready = Promise.withResolvers<void>()
  #streams = 0

  private constructor(model: SideModel) {
    this.#engine = startLlamaEngine({ ...model, gpuLayers: null }, event => {
      this.#take(event)
    })
  }

  static async start(model: SideModel): Promise<OurEngine> {
    const engine = new OurEngine(model)
    await engine.#ready.promise
    return engine
  }

  get pid(): number {
    return this.#engine.pid ?? 0
  }

  ask({ messages, tokensMax, shares, signal, onPiece }: Question): Promise<TimedAnswer> {
    const stream = ++this.#streams
    const { promise, resolve, reject } = Promise.withResolvers<TimedAnswer>()
    const pieceAt: number[] = []
    let [text, tokens, promptTokens, cachedTokens] = ['', 0, 0, 0]
    const askedAt = performance.now()
    const end = () => {
      this.#running.delete(stream)
      resolve({ askedAt, pieceAt, text, promptTokens, cachedTokens, tokens })
    }
    this.#running.set(stream, {
      onText: (piece, isToken) => {
        if (isToken) tokens++
        if (piece === '') return
        text += piece
        pieceAt.push(performance.now())
        onPiece?.()
      },
      onEvent: event => {
        if (event.type === 'started') {
          promptTokens = event.promptTokens ?? 0
          cachedTokens = event.cachedTokens ?? 0
        } else if (event.type === 'failed') reject(new Error(event.error.message))
        else if (event.type === 'finished') end()
      },
    })
    signal?.addEventListener('abort', () => {
      this.#engine.cancel(stream, 1)
      end()
    })
    const chat = {
      messages: [...messages],
      tools: [],
      sampling: { temperature: 0, topP: 1, seed: 1 },
      maxTokens: tokensMax,
      stop: [],
      renderTimeMs: 0,
      ...(shares && { tenant: 'bench' }),
    }
    this.#engine.run({ stream, attempt: 1, chat, continuation: null })
    return promise
  }

  async batches(): Promise<Batches> {
    const counts = await this.#engine.statistics()
    if (counts === null) throw new Error('the worker is gone')
    return {
      batches: counts.answerPasses,
      streams: counts.answerTokens,
      streamsIfFull: counts.answerTokensIfFull,
    }
  }

  async stop(): Promise<void> {
    await this.#engine.close()
  }

  #take(event: EngineEvent): void {
    if (event.type === 'token_frame') {
      const message = decodeTokenFrames(event.bytes)
      if (typeof message === 'string') throw new Error(message)
      for (const frame of message.frames) {
        if (frame.type !== 'token') continue
        const text = frame.segments.map(segment => segment.text).join('')
        this.#running.get(frame.stream)?.onText(text, frame.tokenId !== null)
      }
    } else if ('stream' in event) this.#running.get(event.stream)?.onEvent(event)
    else if (event.type === 'ready') this.#ready.resolve()
    else if (event.type === 'load_failed' || event.type === 'died')
      this.#ready.reject(new CannotRun(event.error.message))
  }
}
