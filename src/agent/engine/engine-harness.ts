import { join } from 'node:path'
import type { ChatJob, Continuation } from '../../protocol/chat-job.ts'
import type { EmbedJob } from '../../protocol/embed-job.ts'
import type { Segment, TokenFrame, ToolCallDelta } from '../../protocol/token-frame.ts'
import { decodeTokenFrames } from '../../protocol/token-frames.ts'
import type { VectorFrame } from '../../protocol/vector-frame.ts'
import type { Engine, EngineEvent, EngineModel, StartEngine } from './engine.ts'

/** The model that every test can have: 5 MB, part of the repository. */
export const demoModel: EngineModel = {
  modelPath: join(import.meta.dir, '../../../models/demo/gpupool-demo.gguf'),
  contextTokens: 1024,
  slots: 4,
  threads: 1,
  gpuLayers: 'auto',
}

/** A greedy job with one user message, changed as wanted. */
export const chatJob = (content: string, changes: Partial<ChatJob> = {}): ChatJob => ({
  messages: [{ role: 'user', content }],
  tools: [],
  sampling: { temperature: 0, topP: 1, seed: 1 },
  maxTokens: null,
  stop: [],
  renderTimeMs: 0,
  ...changes,
})

type Started = Extract<EngineEvent, { type: 'started' }>
type Ended = Extract<EngineEvent, { type: 'finished' | 'failed' }>

/** Everything an engine said about one job, in order. */
export class Answer {
  readonly stream: number
  started: Started | null = null
  ended: Ended | null = null
  readonly frames: TokenFrame[] = []
  readonly vectors: VectorFrame[] = []

  constructor(stream: number) {
    this.stream = stream
  }

  get tokenIds(): readonly number[] {
    return this.frames.flatMap(({ tokenId }) => (typeof tokenId === 'number' ? [tokenId] : []))
  }

  get tokens(): number {
    return this.frames.filter(frame => frame.tokenId !== null).length
  }

  /** Calls put together from their parts, in order. */
  get toolCalls(): readonly ToolCallDelta[] {
    const calls: ToolCallDelta[] = []
    for (const { kind, text } of this.output) {
      if (kind !== 'tool_call') continue
      const part = JSON.parse(text) as ToolCallDelta
      const begun = calls[part.index]
      calls[part.index] =
        begun === undefined ? part : { ...begun, arguments: begun.arguments + part.arguments }
    }
    return calls
  }

  /** Output with neighbours of one kind joined, so that two runs can be compared however they were cut. */
  get output(): readonly Segment[] {
    return joinSegments(this.frames.flatMap(frame => frame.segments))
  }

  get text(): string {
    return this.output.map(segment => (segment.kind === 'answer' ? segment.text : '')).join('')
  }
}

export function joinSegments(segments: readonly Segment[]): readonly Segment[] {
  const joined: Segment[] = []
  for (const segment of segments) {
    const last = joined.at(-1)
    if (last !== undefined && last.kind === segment.kind && segment.kind !== 'tool_call')
      joined[joined.length - 1] = { kind: last.kind, text: last.text + segment.text }
    else joined.push(segment)
  }
  return joined
}

/** The continuation of an answer after its first `tokens` tokens, as the relay would ask for it. */
export function continuationAt(answer: Answer, tokens: number): Continuation {
  const frames = answer.frames.filter(frame => frame.tokenId !== null && frame.index < tokens)
  const segments = frames.flatMap(frame => frame.segments)
  return {
    tokenIds: frames.map(({ tokenId }) => (typeof tokenId === 'number' ? tokenId : 0)),
    deliveredBytes: segments.reduce((sum, segment) => sum + Buffer.byteLength(segment.text), 0),
    promptSha256: answer.started?.promptSha256 ?? '',
  }
}

/** An engine and what it said; asking returns when the job has ended. */
export class EngineSession {
  readonly engine: Engine
  readonly events: EngineEvent[] = []
  readonly #answers = new Map<number, Answer>()
  readonly #watchers = new Set<() => void>()
  #nextStream = 1

  constructor(start: StartEngine, model: EngineModel) {
    this.engine = start(model, event => {
      this.#take(event)
    })
  }

  /** Resolves as soon as the condition holds; it is looked at after each event. */
  async until(condition: () => boolean): Promise<void> {
    if (condition()) return
    await new Promise<void>(resolve => {
      const watcher = () => {
        if (!condition()) return
        this.#watchers.delete(watcher)
        resolve()
      }
      this.#watchers.add(watcher)
    })
  }

  eventOf<Type extends EngineEvent['type']>(
    type: Type,
  ): Extract<EngineEvent, { type: Type }> | undefined {
    return this.events.find(
      (event): event is Extract<EngineEvent, { type: Type }> => event.type === type,
    )
  }

  /** Sends a job and returns at once. */
  begin(chat: ChatJob, continuation: Continuation | null = null): Answer {
    const stream = this.#nextStream++
    const answer = new Answer(stream)
    this.#answers.set(stream, answer)
    this.engine.run({ stream, attempt: 1, chat, continuation })
    return answer
  }

  /** Sends a job for vectors and waits for its end. */
  async embed(embed: EmbedJob): Promise<Answer> {
    const answer = this.beginEmbed(embed)
    await this.until(() => answer.ended !== null)
    return answer
  }

  beginEmbed(embed: EmbedJob): Answer {
    const stream = this.#nextStream++
    const answer = new Answer(stream)
    this.#answers.set(stream, answer)
    this.engine.run({ stream, attempt: 1, embed })
    return answer
  }

  async ask(chat: ChatJob, continuation: Continuation | null = null): Promise<Answer> {
    const answer = this.begin(chat, continuation)
    await this.until(() => answer.ended !== null)
    return answer
  }

  #take(event: EngineEvent): void {
    this.events.push(event)
    if (event.type === 'token_frame') {
      const message = decodeTokenFrames(event.bytes)
      if (typeof message === 'string') throw new Error(message)
      for (const frame of message.frames)
        if (frame.type === 'vector') this.#answers.get(frame.stream)?.vectors.push(frame)
        else this.#answers.get(frame.stream)?.frames.push(frame)
    } else if ('stream' in event) {
      const answer = this.#answers.get(event.stream)
      if (answer !== undefined) {
        if (event.type === 'started') answer.started = event
        else answer.ended = event
      }
    }
    for (const watcher of this.#watchers) watcher()
  }
}
