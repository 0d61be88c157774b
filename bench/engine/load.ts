import type { ChatMessage } from '../../src/protocol/chat-job.ts'
import { cpuBetween, readCpu } from '../harness/process-usage.ts'
import type { Side, TimedAnswer } from './side.ts'

/** Many streams at once, each with a short prompt of its own. */
export type StreamsSample = {
  readonly tokensPerS: number
  readonly firstMs: number
  /** CPU time of the engine's process, prompts included. */
  readonly cpuMsPerToken: number
  readonly meanBatch: number
  /** Share of the streams at their answers that was in a batch; null: not told. */
  readonly fill: number | null
  readonly tokens: number
}

/** A long prompt: alone, as the first part of a second turn, and beside running streams. */
export type PromptSample = {
  readonly promptTokens: number
  readonly firstTurnMs: number
  readonly secondTurnMs: number
  readonly cachedTokens: number
  /** The longest time without a token in a running stream while a long prompt was computed. */
  readonly gapMs: number
}

const shortPromptChars = 60
const questionChars = 40
const runningStreams = 2

/** Letters at random, so that nobody has seen the prompt before. */
const letters = (random: () => number, chars: number): string =>
  Array.from({ length: chars }, () => String.fromCharCode(97 + Math.floor(random() * 26))).join('')

const user = (content: string): ChatMessage => ({ role: 'user', content })

/** Gives the first text's time after asking. */
function firstMs({ askedAt, pieceAt }: TimedAnswer): number {
  const [first] = pieceAt
  if (first === undefined) throw new Error('an answer had no text')
  return first - askedAt
}

export async function measureStreams(
  side: Side,
  streams: number,
  tokensMax: number,
  random: () => number,
): Promise<StreamsSample> {
  const prompts = Array.from({ length: streams }, () => letters(random, shortPromptChars))
  const before = await side.batches()
  const cpuBefore = readCpu(side.pid)
  const begunAt = performance.now()
  const answers = await Promise.all(
    prompts.map(prompt => side.ask({ messages: [user(prompt)], tokensMax, shares: false })),
  )
  const tookS = (performance.now() - begunAt) / 1_000
  const { totalUs } = cpuBetween(cpuBefore, readCpu(side.pid))
  const after = await side.batches()
  const tokens = answers.reduce((sum, answer) => sum + answer.tokens, 0)
  const inBatches = after.streams - before.streams
  return {
    tokensPerS: tokens / tookS,
    firstMs: answers.reduce((sum, answer) => sum + firstMs(answer), 0) / streams,
    cpuMsPerToken: totalUs / 1_000 / tokens,
    meanBatch: inBatches / Math.max(1, after.batches - before.batches),
    fill:
      after.streamsIfFull === null || before.streamsIfFull === null
        ? null
        : inBatches / Math.max(1, after.streamsIfFull - before.streamsIfFull),
    tokens,
  }
}

export async function measurePrompt(
  side: Side,
  promptChars: number,
  tokensMax: number,
  random: () => number,
): Promise<PromptSample> {
  const messages = [user(letters(random, promptChars))]
  const first = await side.ask({ messages, tokensMax, shares: true })
  const second = await side.ask({
    messages: [
      ...messages,
      { role: 'assistant', content: first.text },
      user(letters(random, questionChars)),
    ],
    tokensMax,
    shares: true,
  })
  return {
    promptTokens: first.promptTokens,
    firstTurnMs: firstMs(first),
    secondTurnMs: firstMs(second),
    cachedTokens: second.cachedTokens,
    gapMs: await longestGap(side, promptChars, random),
  }
}

async function longestGap(side: Side, promptChars: number, random: () => number): Promise<number> {
  const stop = new AbortController()
  const at: number[][] = []
  const talking: Promise<unknown>[] = []
  const running = Array.from({ length: runningStreams }, () => {
    const begun = Promise.withResolvers<void>()
    const pieces: number[] = []
    at.push(pieces)
    const onPiece = () => {
      pieces.push(performance.now())
      begun.resolve()
    }
    const messages = [user(letters(random, shortPromptChars))]
    const answer = side.ask({
      messages,
      tokensMax: 1_000,
      shares: false,
      signal: stop.signal,
      onPiece,
    })
    talking.push(Promise.race([begun.promise, answer]))
    return answer
  })
  await Promise.all(talking)
  const long = await side.ask({
    messages: [user(letters(random, promptChars))],
    tokensMax: 1,
    shares: false,
  })
  const until = long.pieceAt[0] ?? performance.now()
  stop.abort()
  await Promise.all(running)
  const gaps = at.flatMap(pieces => {
    const during = [...pieces.filter(time => time > long.askedAt && time < until), until]
    return during.map((time, i) => time - (during[i - 1] ?? long.askedAt))
  })
  return Math.max(...gaps)
}
