import type { ChatJob, FinishReason } from '../../protocol/chat-job.ts'
import type { Failure } from '../../protocol/errors.ts'
import type { Segment } from '../../protocol/token-frame.ts'
import type { Timers } from '../timers.ts'
import { parseCompletionChunk } from './completion-chunk.ts'
import { CompletionReducer } from './completion-reducer.ts'
import { completionRequest } from './completion-request.ts'
import { engineFailure } from './engine-failure.ts'
import { engineFetch, readBounded, type EngineServer } from './engine-server.ts'
import { SseReader } from './sse-reader.ts'

/** How long the usage, which comes behind the last text, is waited for. */
export const usageWaitMs = 2_000

export type CompletionJob = {
  readonly server: EngineServer
  readonly modelId: string
  /** As `readModels` names it. */
  readonly engine: string
  readonly chat: ChatJob
}

export type CompletionListener = {
  /** Hears each piece. @returns false: enough, the answer ends here for its length */
  readonly segments: (segments: readonly Segment[]) => boolean
  /** Hears, before the pieces that come with it, how many tokens the prompt has: the engine's word, told once or never. */
  readonly promptTokens: (tokens: number) => void
}

export type CompletionEnd =
  | { readonly type: 'finished'; readonly reason: FinishReason }
  /** `gone`: there is no connection, or it broke off: the engine may have ended. */
  | { readonly type: 'failed'; readonly error: Failure; readonly gone: boolean }
  | { readonly type: 'aborted' }

/**
 * Has an engine answer, streamed.
 * @param abort ends the request; it is aborted at the end in any case, which closes the connection
 * @returns how it ended; never rejects for what an engine does
 */
export async function streamCompletion(
  job: CompletionJob,
  timers: Timers,
  listener: CompletionListener,
  abort: AbortController,
): Promise<CompletionEnd> {
  const { server, modelId, engine, chat } = job
  const { signal } = abort
  try {
    const body = completionRequest(modelId, engine, chat)
    const response = await unlessBroken(
      engineFetch(server, `${server.base}/chat/completions`, signal, body),
    )
    if (signal.aborted) return { type: 'aborted' }
    if (response instanceof Broken) return gone('the engine does not answer', response)
    if (!response.ok || response.body === null) return await refused(response, signal)
    return await readAnswer(response.body, new CompletionReducer(chat.sampling.seed), {
      timers,
      listener,
      abort,
    })
  } finally {
    abort.abort()
  }
}

type Reading = {
  readonly timers: Timers
  readonly listener: CompletionListener
  readonly abort: AbortController
}

/** What ends the reading before the stream's end; null: nothing. */
type Stop = 'done' | 'enough' | Failure | null

async function readAnswer(
  body: ReadableStream<Uint8Array>,
  answer: CompletionReducer,
  { timers, listener, abort }: Reading,
): Promise<CompletionEnd> {
  const sse = new SseReader()
  const reader = body.getReader()
  let stop: Stop = null
  let usageIsLate = false
  let cancelWait: (() => void) | null = null
  const take = (data: string) => {
    if (stop === null && !abort.signal.aborted) stop = takeEvent(data, answer, listener)
  }
  const stopped = (): Stop => stop
  try {
    for (;;) {
      const read = await unlessBroken(reader.read())
      if (abort.signal.aborted && !usageIsLate) return { type: 'aborted' }
      if (usageIsLate) break
      if (read instanceof Broken) {
        if (answer.finishReason !== null) break
        return gone('the engine broke off its answer', read)
      }
      const problem = read.done ? sse.end(take) : sse.push(read.value, take)
      const ended = stopped() ?? (problem === null ? null : malformed(problem))
      if (typeof ended === 'object' && ended !== null) return failed(ended)
      if (ended !== null || read.done) break
      if (answer.finishReason !== null && cancelWait === null)
        cancelWait = timers.after(usageWaitMs, () => {
          usageIsLate = true
          abort.abort()
        })
    }
  } finally {
    cancelWait?.()
  }
  if (stopped() === 'enough') return { type: 'finished', reason: 'length' }
  // A stream that says [DONE] without a reason has come to its end; one that just ends has not.
  const reason = answer.finishReason ?? (stopped() === 'done' ? 'stop' : null)
  if (reason === null) return gone('the engine broke off its answer', null)
  return { type: 'finished', reason }
}

function takeEvent(data: string, answer: CompletionReducer, listener: CompletionListener): Stop {
  if (data.trim() === '[DONE]') return 'done'
  const chunk = parseCompletionChunk(data)
  if (chunk === null) return malformed('an event that is no chunk of an answer')
  if (chunk.error !== undefined && chunk.error !== null) return engineFailure(null, chunk)
  const toldBefore = answer.promptTokens !== null
  const segments = answer.push(chunk)
  if (!toldBefore && answer.promptTokens !== null) listener.promptTokens(answer.promptTokens)
  if (typeof segments === 'string') return malformed(segments)
  return segments.length === 0 || listener.segments(segments) ? null : 'enough'
}

async function refused(response: Response, signal: AbortSignal): Promise<CompletionEnd> {
  const text = await unlessBroken(readBounded(response))
  if (signal.aborted) return { type: 'aborted' }
  return failed(engineFailure(response.status, text instanceof Broken ? null : jsonOr(text)))
}

/** What fetch and its body reject with: no connection, or none any more. */
class Broken {
  readonly why: string
  constructor(error: unknown) {
    this.why = error instanceof Error ? error.message : String(error)
  }
}

async function unlessBroken<Value>(promise: Promise<Value>): Promise<Value | Broken> {
  try {
    return await promise
  } catch (error) {
    return new Broken(error)
  }
}

function jsonOr(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

const malformed = (what: string): Failure => ({
  code: 'internal',
  message: `the engine sent ${what}`,
})

const failed = (error: Failure): CompletionEnd => ({ type: 'failed', error, gone: false })

const gone = (what: string, broken: Broken | null): CompletionEnd => ({
  type: 'failed',
  gone: true,
  error: { code: 'worker_died', message: broken === null ? what : `${what}: ${broken.why}` },
})
