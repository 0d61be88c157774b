import { describe, expect, test } from 'bun:test'
import { parseLogprobs, parseSampling } from './chat-sampling.ts'
import { FieldReader, type JsonObject } from './field-reader.ts'

function read(body: JsonObject) {
  const reader = new FieldReader()
  const sampling = parseSampling(body, reader, () => 42)
  const topLogprobs = parseLogprobs(body, reader)
  return { sampling, topLogprobs, problem: reader.problem }
}

describe('a request', () => {
  test('may say how tokens are drawn', () => {
    const body = {
      top_k: 40,
      min_p: 0.05,
      frequency_penalty: -0.5,
      presence_penalty: 2,
      repetition_penalty: 1.1,
      logit_bias: { 5: -100, 7: 1.5 },
    }
    expect(read(body).sampling).toEqual({
      temperature: 1,
      topP: 1,
      seed: 42,
      topK: 40,
      minP: 0.05,
      frequencyPenalty: -0.5,
      presencePenalty: 2,
      repetitionPenalty: 1.1,
      logitBias: [
        { tokenId: 5, bias: -100 },
        { tokenId: 7, bias: 1.5 },
      ],
    })
    expect(read({ repeat_penalty: 1.3 }).sampling.repetitionPenalty).toBe(1.3)
  })

  test('may have any 64-bit seed; the same one gives the same 32 bits, and neighbours differ', () => {
    const seedOf = (seed: number) => read({ seed }).sampling.seed
    const seeds = [0, 1, -1, 2 ** 31, 2 ** 32, 2 ** 53, -(2 ** 63), 2 ** 63]
    expect(new Set(seeds.map(seedOf)).size).toBe(seeds.length)
    expect(seeds.map(seedOf)).toEqual(seeds.map(seedOf))
  })

  test('may ask for log probabilities, with so many alternatives or none', () => {
    expect(read({ logprobs: true }).topLogprobs).toBe(0)
    expect(read({ logprobs: true, top_logprobs: 20 }).topLogprobs).toBe(20)
    expect(read({ logprobs: false, top_logprobs: 0 })).toMatchObject({
      topLogprobs: null,
      problem: null,
    })
  })
})

describe('a value out of its range is refused, and the range is told:', () => {
  const cases: readonly [string, number, number][] = [
    ['temperature', 0, 2],
    ['top_p', 0, 1],
    ['min_p', 0, 1],
    ['frequency_penalty', -2, 2],
    ['presence_penalty', -2, 2],
    ['repetition_penalty', 0.01, 10],
    ['repeat_penalty', 0.01, 10],
  ]
  test.each(cases)('%s from %d to %d', (param, min, max) => {
    for (const allowed of [min, max]) expect(read({ [param]: allowed }).problem).toBeNull()
    for (const wrong of [min - 0.001, max + 0.001])
      expect(read({ [param]: wrong }).problem).toEqual({
        code: 'invalid_request',
        param,
        message: `Invalid '${param}': expected a value from ${min} to ${max}.`,
      })
    expect(read({ [param]: '1' }).problem).toMatchObject({ param })
  })

  const others: readonly [string, JsonObject, string, string][] = [
    ['a bias of 101', { logit_bias: { 5: 101 } }, 'logit_bias.5', 'from -100 to 100'],
    ['a bias of a word', { logit_bias: { yes: 1 } }, 'logit_bias', 'ids of tokens'],
    ['top_k of -2', { top_k: -2 }, 'top_k', 'at least -1'],
    ['half a top_k', { top_k: 1.5 }, 'top_k', 'an integer'],
    ['21 alternatives', { logprobs: true, top_logprobs: 21 }, 'top_logprobs', 'from 0 to 20'],
    ['alternatives alone', { top_logprobs: 2 }, 'top_logprobs', "'logprobs': true"],
  ]
  test.each(others)('%s', (_, body, param, text) => {
    expect(read(body).problem).toMatchObject({ param, message: expect.stringContaining(text) })
  })
})
