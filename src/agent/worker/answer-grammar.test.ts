import { afterAll, beforeAll, expect, test } from 'bun:test'
import type { ChatJob } from '../../protocol/chat-job.ts'
import {
  chatJob,
  continuationAt,
  demoModel,
  EngineSession,
  joinSegments,
} from '../engine/engine-harness.ts'
import { startLlamaEngine } from '../engine/llama-engine.ts'

let session: EngineSession
beforeAll(() => {
  session = new EngineSession(startLlamaEngine, demoModel)
})
afterAll(() => session.engine.close())

const listing = `root ::= "[" item ("," " "? item){3,6} "]"
item ::= "{\\"n\\":" [1-9] [0-9]{0,3} ",\\"word\\":\\"" [a-z]{2,9} "\\"}"
`
const job = (grammar: string, changes: Partial<ChatJob> = {}) =>
  chatJob('Tell me a short story.', {
    sampling: { temperature: 1, topP: 1, seed: 11, frequencyPenalty: 0.3 },
    maxTokens: 200,
    constraint: { grammar, asked: {} },
    ...changes,
  })

test('an answer is what its grammar allows, and ends where that ends', async () => {
  const answer = await session.ask(job(listing))
  expect(answer.ended).toMatchObject({ type: 'finished', reason: 'stop' })
  expect(answer.text).toMatch(/^\[\{"n":\d{1,4},"word":"[a-z]{2,9}"\}(, ?\{.*\}){3,6}\]$/)
})

test('one cut behind any token and continued in a fresh worker has the same ids and text', async () => {
  const chat = job(listing)
  const uncut = await session.ask(chat)
  expect(uncut.tokenIds.length).toBeGreaterThan(20)
  const fresh = new EngineSession(startLlamaEngine, demoModel)
  try {
    for (let tokens = 0; tokens <= uncut.tokenIds.length; tokens++) {
      const rest = await fresh.ask(chat, continuationAt(uncut, tokens))
      expect([...uncut.tokenIds.slice(0, tokens), ...rest.tokenIds]).toEqual([...uncut.tokenIds])
      const delivered = uncut.frames
        .filter(frame => frame.tokenId !== null && frame.index < tokens)
        .flatMap(frame => frame.segments)
      expect(joinSegments([...delivered, ...rest.output])).toEqual(uncut.output)
    }
  } finally {
    await fresh.engine.close()
  }
}, 60_000)

test('a continuation with tokens that the grammar forbids is refused before its first token', async () => {
  const free = await session.ask(chatJob('Tell me a short story.', { maxTokens: 5 }))
  const answer = await session.ask(job(listing), continuationAt(free, 3))
  expect(answer.ended).toMatchObject({ type: 'failed', error: { code: 'internal' } })
  expect(answer.frames).toEqual([])
})

test.each([
  ['a rule that is not there', 'root ::= nope'],
  ['no rule root', 'other ::= "x"'],
  ['left recursion', 'root ::= root "x"'],
  ['a text without end', 'root ::= "x'],
  ['too many repetitions', 'root ::= "x"{1000000}'],
])('a grammar with %s fails that job alone', async (_, grammar) => {
  const answer = await session.ask(job(grammar))
  expect(answer.ended).toMatchObject({ type: 'failed', error: { code: 'invalid_request' } })
  expect(answer.frames).toEqual([])
  expect((await session.ask(chatJob('hello'))).text).toBe('Hello! How can I help you?')
})
