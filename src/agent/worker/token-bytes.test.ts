import { describe, expect, test } from 'bun:test'
import { join } from 'node:path'
import { tokenizerFacts, type TokenizerFacts } from '../../models/gguf-facts.ts'
import { readGgufHeader } from '../../models/gguf-header.ts'
import { createTokenBytes } from './token-bytes.ts'

const facts = (model: string, tokens: readonly (readonly [string, number])[]): TokenizerFacts => ({
  model,
  tokens: tokens.map(([text]) => text),
  types: tokens.map(([, type]) => type),
  bosId: null,
  eosId: null,
  addBos: null,
})
const noDetokenize = (): string => {
  throw new Error('the table must know this token')
}
const bytesOf = (text: string): readonly number[] => [...new TextEncoder().encode(text)]

describe('bytes of tokens', () => {
  test('byte-level BPE: every byte has its character', () => {
    const tokens = createTokenBytes(
      facts('gpt2', [
        ['Ġhello', 1],
        ['Ċ', 1],
        ['ðŁ', 1],
        ['¦Ĭ', 1],
      ]),
      noDetokenize,
    )
    expect([...tokens(0)]).toEqual([...bytesOf(' hello')])
    expect([...tokens(1)]).toEqual([0x0a])
    expect([...tokens(2), ...tokens(3)]).toEqual([...bytesOf('🦊')])
  })

  test('the demo model: 256 tokens are the 256 bytes, special ones have no text', () => {
    const header = readGgufHeader(join(import.meta.dir, '../../../models/demo/gpupool-demo.gguf'))
    if (typeof header === 'string') throw new Error(header)
    const demo = tokenizerFacts(header)
    if (typeof demo === 'string') throw new Error(demo)
    const tokens = createTokenBytes(demo, noDetokenize)
    const single = demo.tokens.map((_, id) => tokens(id)).filter(bytes => bytes.length === 1)
    expect(new Set(single.map(bytes => bytes[0])).size).toBe(256)
    expect(tokens(demo.tokens.indexOf('<|im_end|>')).length).toBe(0)
  })

  test('SentencePiece: ▁ is a space, <0xNN> is a byte', () => {
    const tokens = createTokenBytes(
      facts('llama', [
        ['▁Hello', 1],
        ['<0xF0>', 6],
        ['</s>', 3],
        ['▁▁', 4],
      ]),
      noDetokenize,
    )
    expect([...tokens(0)]).toEqual([...bytesOf(' Hello')])
    expect([...tokens(1)]).toEqual([0xf0])
    expect(tokens(2).length).toBe(0)
    expect([...tokens(3)]).toEqual([...bytesOf('▁▁')])
  })

  test('markers of reasoning and tool calls keep their text, also as control tokens', () => {
    const tokens = createTokenBytes(
      facts('gpt2', [
        ['<tool_call>', 3],
        ['</think>', 4],
        ['<|eot|>', 3],
      ]),
      noDetokenize,
    )
    expect([...tokens(0)]).toEqual([...bytesOf('<tool_call>')])
    expect([...tokens(1)]).toEqual([...bytesOf('</think>')])
    expect(tokens(2).length).toBe(0)
  })

  test('an unknown kind of tokenizer is left to the engine, an unknown id is nothing', () => {
    const tokens = createTokenBytes(facts('rwkv', [['?', 1]]), id => `text of ${id}`)
    expect([...tokens(0)]).toEqual([...bytesOf('text of 0')])
    expect(tokens(99).length).toBe(0)
  })
})
