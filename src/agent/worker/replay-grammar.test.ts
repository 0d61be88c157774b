import { afterAll, beforeAll, expect, test } from 'bun:test'
import type { Llama, LlamaModel } from 'node-llama-cpp'
import { demoModel } from '../engine/engine-harness.ts'
import { openLlama } from './open-llama.ts'
import { replayGrammarToken } from './replay-grammar.ts'

// Against the library itself: this is where a version that moved its insides shows.

let llama: Llama
let model: LlamaModel
beforeAll(async () => {
  llama = await openLlama({ threads: 1, gpuLayers: null })
  model = await llama.loadModel({ modelPath: demoModel.modelPath })
}, 60_000)
afterAll(() => llama.dispose())

const stateOf = async (grammar: string) => {
  const { LlamaGrammarEvaluationState } = await import('node-llama-cpp')
  return new LlamaGrammarEvaluationState({ model, grammar: await llama.createGrammar({ grammar }) })
}
const tokens = (text: string) => model.tokenize(text, false)

test('tokens that the grammar allows advance its state one by one', async () => {
  const text = 'tall boat and tall house'
  const state = await stateOf(`root ::= " "? "${text}"`)
  expect(tokens(text).map(id => replayGrammarToken(llama, state, id))).toEqual(
    tokens(text).map(() => true),
  )
  expect(replayGrammarToken(llama, state, tokens('boat')[0] ?? 0)).toBe(false)
})

test('a token that the grammar forbids is told and leaves the state as it was', async () => {
  const state = await stateOf('root ::= " "? "boat"')
  expect(replayGrammarToken(llama, state, tokens('7')[0] ?? 0)).toBe(false)
  for (const id of tokens('boat')) expect(replayGrammarToken(llama, state, id)).toBe(true)
})

test('a library that has no such insides is an error and no silent difference', () => {
  expect(() => replayGrammarToken({} as Llama, {} as never, 1)).toThrow('cannot replay')
})
