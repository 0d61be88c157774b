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
import { AnswerGrammar } from './answer-grammar.ts'
import { openLlama } from './open-llama.ts'

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

const calls = `root ::= call ("\\n" call){1,2}
call ::= "<tool_call>\\n{\\"name\\": \\"f\\", \\"arguments\\": {\\"n\\": " [1-9] [0-9]{2,5} "}}\\n</tool_call>"
`
const tools = [{ name: 'f' }]

test.each([
  ['an answer', job(listing)],
  ['tool calls', job(calls, { tools })],
])(
  '%s cut behind any token and continued in a fresh worker has the same ids and text',
  async (_, chat) => {
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
  },
  60_000,
)

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

test('reasoning that the prompt has opened is free; the grammar begins behind its end', async () => {
  const llama = await openLlama({ threads: 1, gpuLayers: null })
  try {
    const model = await llama.loadModel({ modelPath: demoModel.modelPath })
    const pieces = ['so', ' </thi', 'nk>', 'never</think>']
    const options = {
      tokenBytes: (id: number) => new TextEncoder().encode(pieces[id]),
      afterReasoning: true,
    }
    const grammar = await AnswerGrammar.create(model, 'root ::= " "? "boat"', options)
    if ('code' in grammar) throw new Error(grammar.message)
    for (const id of [0, 1]) {
      grammar.drawn(id)
      expect(grammar.state).toBeUndefined()
    }
    // Replayed tokens end it as well; from here on the grammar decides.
    expect(grammar.replay(2)).toBe(true)
    expect(grammar.state).toBeDefined()
    const [boat = 0] = model.tokenize('boat', false)
    const [seven = 0] = model.tokenize('7', false)
    expect(grammar.replay(seven)).toBe(false)
    expect(grammar.replay(boat)).toBe(true)
  } finally {
    await llama.dispose()
  }
})

test('a token that is no text, as one that begins a turn, does not stand for its name', async () => {
  const named = 'root ::= "<" [^>]{1,12} ">"\n'
  for (let seed = 0; seed < 24; seed++) {
    const answer = await session.ask(job(named, { sampling: { temperature: 2, topP: 1, seed } }))
    expect(answer.text).toMatch(/^<[^>]{1,12}>$/)
  }
})
