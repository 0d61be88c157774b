import { afterAll, beforeAll, expect, test } from 'bun:test'
import type { Llama, LlamaContext, LlamaModel, Token } from 'node-llama-cpp'
import { demoModel } from '../engine/engine-harness.ts'
import { readingLogits, type DrawnLogits } from './logit-reader.ts'
import { openLlama } from './open-llama.ts'

// Against the library itself: this is where a version that moved its insides shows.

let llama: Llama
let model: LlamaModel
let context: LlamaContext
beforeAll(async () => {
  llama = await openLlama({ threads: 1, gpuLayers: null })
  model = await llama.loadModel({ modelPath: demoModel.modelPath })
  context = await model.createContext({ contextSize: 256, sequences: 3, threads: 1 })
}, 60_000)
afterAll(() => llama.dispose())

const wild = { temperature: 1.5, topK: 12, topP: 0.9, seed: 5 }
const prompt = () => model.tokenize('Tell me a short story about', false)

/** What the library's public way tells at the end of these tokens: every logit, and no sampling. */
async function logprobsBehind(tokens: readonly Token[]): Promise<Map<Token, number>> {
  const sequence = context.getSequence()
  try {
    const last = tokens.at(-1) ?? (0 as Token)
    const told = await sequence.controlledEvaluate([
      ...tokens.slice(0, -1),
      [last, { generateNext: { logits: true } }],
    ])
    const logits = told.at(-1)?.next.logits ?? new Map<Token, number>()
    const base = Math.log([...logits.values()].reduce((sum, logit) => sum + Math.exp(logit), 0))
    return new Map([...logits].map(([token, logit]) => [token, logit - base]))
  } finally {
    await sequence.dispose()
  }
}

test('each draw’s logits are the model’s own, whatever the sampling did with them', async () => {
  const sequence = context.getSequence()
  const drawn: DrawnLogits[] = []
  const view = readingLogits(sequence, model, 5, logits => drawn.push(logits))
  const iterator = view.evaluate(prompt(), wild)
  const answer: Token[] = []
  for (let i = 0; i < 8; i++) answer.push((await iterator.next()).value ?? (0 as Token))
  await iterator.return()
  await sequence.dispose()
  expect(drawn.map(({ tokenId }) => tokenId)).toEqual(answer)
  for (const [i, { tokenId, logprob, top }] of drawn.entries()) {
    const expected = await logprobsBehind([...prompt(), ...answer.slice(0, i)])
    expect(logprob).toBeCloseTo(expected.get(tokenId as Token) ?? NaN, 3)
    const likeliest = [...expected.values()].toSorted((a, b) => b - a).slice(0, 5)
    expect(top.map(other => other.logprob.toFixed(2))).toEqual(likeliest.map(p => p.toFixed(2)))
    for (const other of top)
      expect(other.logprob).toBeCloseTo(expected.get(other.tokenId as Token) ?? NaN, 3)
  }
})

test('reading changes neither what is drawn nor what the sequence holds', async () => {
  const take = async (read: boolean) => {
    const sequence = context.getSequence()
    const view = read ? readingLogits(sequence, model, 3, () => {}) : sequence
    const iterator = view.evaluate(prompt(), wild)
    const answer: (Token | undefined)[] = []
    for (let i = 0; i < 12; i++) answer.push((await iterator.next()).value ?? undefined)
    await iterator.return()
    const held = [...sequence.contextTokens]
    await sequence.dispose()
    return { answer, held }
  }
  expect(await take(true)).toEqual(await take(false))
})

test('a library that has no such insides is an error and no silent lack', () => {
  expect(() => readingLogits({} as never, model, 0, () => {})).toThrow('any more')
})
