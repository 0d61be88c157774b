import type { ChatJob, FinishReason } from '../src/protocol/chat-job.ts'
import { AnswerReducer } from '../src/agent/worker/answer-reducer.ts'

/**
 * A language model without weights. Every token follows from the prompt and from all tokens before it, so an answer that
 * goes on with one token lost, repeated or changed becomes another answer, and everybody sees it.
 */

/** Pieces of text; the last ones are halves of characters, each followed by its other half alone. */
const words = ['one ', 'two ', 'tree, ', 'four; ', 'five\n', 'six', '#', '# ', 'Ω', 'eight ']
const halves: readonly (readonly [readonly number[], readonly number[]])[] = [
  [[0xc3], [0xa9]],
  [
    [0xf0, 0x9f],
    [0x98, 0x80],
  ],
]
const encoder = new TextEncoder()
const vocabulary: readonly Uint8Array[] = [
  ...words.map(word => encoder.encode(word)),
  ...halves.flatMap(([first, second]) => [Uint8Array.from(first), Uint8Array.from(second)]),
]
const firstHalf = words.length
const endOfTurn = vocabulary.length
/** What may follow a whole character: words, and first halves. */
const beginnings = [...words.keys(), ...halves.map((_, index) => firstHalf + 2 * index)]
const noBytes = new Uint8Array(0)

export const tokenBytes = (tokenId: number): Uint8Array => vocabulary[tokenId] ?? noBytes
export const isEndOfTurn = (tokenId: number): boolean => tokenId === endOfTurn
const isFirstHalf = (tokenId: number): boolean =>
  tokenId >= firstHalf && tokenId < endOfTurn && (tokenId - firstHalf) % 2 === 0

/** A prompt that is answered with so many tokens, the end of the turn included. */
export const promptFor = (tokens: number, salt: number): string =>
  `${tokens} tokens, please: ${salt}`

/** What the model makes of a chat, token by token. */
export class PretendAnswer {
  readonly promptSha256: string
  readonly promptTokens: number
  readonly #wanted: number
  #state: number
  #last = 0
  #tokens = 0

  constructor(chat: ChatJob) {
    const text = JSON.stringify(chat.messages)
    this.promptSha256 = Bun.hash.wyhash(text).toString(16).padStart(16, '0').repeat(4)
    this.promptTokens = Math.ceil(text.length / 4)
    this.#state = Bun.hash.xxHash32(text)
    this.#wanted = Number.parseInt(chat.messages[0]?.content ?? '', 10)
  }

  /** The token that comes next, as if `accept` were to follow. */
  next(): number {
    if (isFirstHalf(this.#last)) return this.#last + 1
    if (this.#tokens + 1 >= this.#wanted) return endOfTurn
    return beginnings[this.#state % beginnings.length] ?? 0
  }

  /** The answer goes on behind this token, whatever it is. */
  accept(tokenId: number): void {
    this.#state = Math.imul(this.#state ^ (tokenId + 1), 0x9e3779b1) >>> 0
    this.#state = (this.#state ^ (this.#state >>> 15)) >>> 0
    this.#last = tokenId
    this.#tokens++
  }
}

export const reducerFor = (chat: ChatJob): AnswerReducer =>
  new AnswerReducer({
    stop: chat.stop,
    tools: false,
    singleToolCall: false,
    reasoning: 'none',
    toolCallSeed: 0,
  })

/** What a client must get. */
export type Expected = {
  readonly text: string
  readonly tokens: number
  readonly promptTokens: number
  readonly reason: FinishReason
  /** UTF-16 units of the text that the first i tokens release. */
  readonly unitsAfter: readonly number[]
}

/** The whole answer, uninterrupted. */
export function expectedAnswer(chat: ChatJob): Expected {
  const answer = new PretendAnswer(chat)
  const reducer = reducerFor(chat)
  const unitsAfter = [0]
  let text = ''
  let tokens = 0
  let reason: FinishReason = 'length'
  while (tokens < (chat.maxTokens ?? Infinity)) {
    const tokenId = answer.next()
    answer.accept(tokenId)
    tokens++
    if (!isEndOfTurn(tokenId))
      for (const segment of reducer.push(tokenBytes(tokenId))) text += segment.text
    unitsAfter.push(text.length)
    if (!isEndOfTurn(tokenId) && !reducer.stopped) continue
    reason = 'stop'
    break
  }
  for (const segment of reducer.flush()) text += segment.text
  return { text, tokens, promptTokens: answer.promptTokens, reason, unitsAfter }
}
