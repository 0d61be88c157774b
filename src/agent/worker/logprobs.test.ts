import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import type { ChatJob } from '../../protocol/chat-job.ts'
import {
  chatJob,
  continuationAt,
  demoModel,
  EngineSession,
  type Answer,
} from '../engine/engine-harness.ts'
import { startLlamaEngine } from '../engine/llama-engine.ts'

let session: EngineSession
beforeAll(() => {
  session = new EngineSession(startLlamaEngine, demoModel)
})
afterAll(() => session.engine.close())

const warm = { temperature: 1.2, topP: 0.95, seed: 7 }
const story = (changes: Partial<ChatJob> = {}) =>
  chatJob('Tell me a short story.', { sampling: warm, maxTokens: 40, topLogprobs: 3, ...changes })
const told = ({ frames }: Answer) => frames.flatMap(({ logprob }) => logprob ?? [])
const textOf = (answer: Answer) => Buffer.concat(told(answer).map(({ bytes }) => bytes)).toString()
const first = async (changes: Partial<ChatJob>) => told(await session.ask(story(changes)))[0]

describe('log probabilities', () => {
  test('are told for each token of the answer’s text, and their bytes are the text', async () => {
    const answer = await session.ask(story())
    expect(told(answer).length).toBeGreaterThan(20)
    expect(textOf(answer)).toBe(answer.text)
    for (const { logprob, top } of told(answer)) {
      expect(top.length).toBe(3)
      expect(logprob).toBeLessThanOrEqual(top[0]?.logprob ?? -Infinity)
      const sum = top.reduce((all, other) => all + Math.exp(other.logprob), 0)
      expect(sum).toBeLessThan(1.001)
    }
  })

  test('are not told when nobody asks, and asking changes no token', async () => {
    const { topLogprobs: _, ...silent } = story()
    const plain = await session.ask(silent)
    expect(told(plain)).toEqual([])
    expect((await session.ask(story())).tokenIds).toEqual([...plain.tokenIds])
  })

  test('are the model’s own: temperature, biases, penalties and grammars leave them as they are', async () => {
    const greedy = await first({ sampling: { ...warm, temperature: 0 } })
    const likeliest = greedy?.top
    for (const changes of [
      { sampling: { ...warm, temperature: 2, topK: 2 } },
      { sampling: { ...warm, presencePenalty: 2, repetitionPenalty: 3 } },
      { sampling: { ...warm, logitBias: [{ tokenId: 300, bias: 100 }] } },
      { constraint: { grammar: 'root ::= "zebra"', asked: {} } },
    ])
      expect((await first(changes))?.top).toEqual(likeliest)
    const forced = await first({ constraint: { grammar: 'root ::= "zebra"', asked: {} } })
    expect(forced?.logprob).toBeLessThan(-5)
  })

  test('do not go with the token that ends the turn', async () => {
    const hello = await session.ask(chatJob('hello', { topLogprobs: 0 }))
    expect(hello.ended).toMatchObject({ reason: 'stop' })
    expect(told(hello).length).toBe(hello.tokenIds.length - 1)
    expect(hello.frames.find(({ index }) => index === hello.tokenIds.length - 1)?.logprob).toBe(
      undefined,
    )
  })

  test('of an answer that is cut behind any token go on as they would have gone', async () => {
    const chat = story({ sampling: { ...warm, presencePenalty: 0.6 }, maxTokens: 24 })
    const uncut = await session.ask(chat)
    for (let tokens = 0; tokens <= uncut.tokenIds.length; tokens++) {
      const rest = await session.ask(chat, continuationAt(uncut, tokens))
      const before = uncut.frames.filter(({ tokenId, index }) => tokenId !== null && index < tokens)
      const both = [...before, ...rest.frames].flatMap(({ logprob }) => logprob ?? [])
      expect(both).toEqual(told(uncut))
    }
  })

  test('come with several answers at once, each its own', async () => {
    const alone = [1, 2, 3].map(seed => story({ sampling: { ...warm, seed } }))
    const expected = []
    for (const chat of alone) expected.push(textOf(await session.ask(chat)))
    const together = await Promise.all(alone.map(chat => session.ask(chat)))
    for (const answer of together) expect(textOf(answer)).toBe(answer.text)
    expect(together.map(textOf)).toEqual(expected)
  })
})
