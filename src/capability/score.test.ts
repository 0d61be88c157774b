import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { cards, type Arithmetic } from './card.ts'
import { capabilityScore, referenceModel, type ScoreInput } from './score.ts'

const nothing: ScoreInput = {
  memoryMb: null,
  bandwidthGBs: null,
  fp16Tflops: null,
  int8: null,
  measuredDecode: null,
  measuredPrefill: null,
}
const rtx4090: ScoreInput = {
  ...nothing,
  memoryMb: 24_564,
  bandwidthGBs: 1008,
  fp16Tflops: 82.58,
  int8: 'matrix',
}

const figure = (max: number) => fc.option(fc.double({ min: 0, max, noNaN: true }))
const measured = fc.option(
  fc.record({
    tokensPerS: fc.double({ min: 0, max: 1e5, noNaN: true }),
    workPerToken: fc.double({ min: 1e6, max: 1e12, noNaN: true }),
  }),
)
const arithmetics: readonly Arithmetic[] = [null, 'none', 'vector', 'matrix']
const anyInput: fc.Arbitrary<ScoreInput> = fc.record({
  memoryMb: figure(1e6),
  bandwidthGBs: figure(2e4),
  fp16Tflops: figure(5e3),
  int8: fc.constantFrom(...arithmetics),
  measuredDecode: measured,
  measuredPrefill: measured,
})

describe('the score never falls when an input improves', () => {
  const better = (value: number | null, by: number) => (value ?? 0) + by
  const more = fc.double({ min: 0, max: 1e5, noNaN: true })

  test.each(['memoryMb', 'bandwidthGBs', 'fp16Tflops'] as const)('%s', name => {
    fc.assert(
      fc.property(anyInput, more, (input, by) => {
        const improved = { ...input, [name]: better(input[name], by) }
        expect(capabilityScore(improved).score).toBeGreaterThanOrEqual(capabilityScore(input).score)
      }),
    )
  })

  test.each(['measuredDecode', 'measuredPrefill'] as const)('%s', name => {
    fc.assert(
      fc.property(anyInput, more, (input, by) => {
        const before = input[name]
        if (before === null) return
        const improved = { ...input, [name]: { ...before, tokensPerS: before.tokensPerS + by } }
        expect(capabilityScore(improved).score).toBeGreaterThanOrEqual(capabilityScore(input).score)
      }),
    )
  })

  test('int8', () => {
    fc.assert(
      fc.property(anyInput, fc.nat({ max: 2 }), (input, rank) => {
        const score = (int8: Arithmetic) => capabilityScore({ ...input, int8 }).score
        expect(score(arithmetics[rank + 1]!)).toBeGreaterThanOrEqual(score(arithmetics[rank]!))
      }),
    )
  })

  test('several at once', () => {
    fc.assert(
      fc.property(anyInput, more, more, more, (input, a, b, c) => {
        const improved = {
          ...input,
          memoryMb: better(input.memoryMb, a),
          bandwidthGBs: better(input.bandwidthGBs, b),
          fp16Tflops: better(input.fp16Tflops, c),
        }
        expect(capabilityScore(improved).score).toBeGreaterThanOrEqual(capabilityScore(input).score)
      }),
    )
  })
})

describe('what is not known', () => {
  test('gives nothing, and is said', () => {
    const { score, explanation } = capabilityScore(nothing)
    expect(score).toBe(0)
    expect(explanation).toBe(
      '0 = 0 memory (unknown) + 0 decode (unknown) + 0 prefill (unknown) + 0 quantisation (unknown)',
    )
  })

  test('lowers a score and never raises it', () => {
    fc.assert(
      fc.property(
        anyInput,
        fc.constantFrom(...(Object.keys(nothing) as (keyof ScoreInput)[])),
        (input, name) => {
          if (name === 'measuredDecode' || name === 'measuredPrefill') return
          const without = { ...input, [name]: null }
          expect(capabilityScore(without).score).toBeLessThanOrEqual(capabilityScore(input).score)
        },
      ),
    )
  })

  test.each([Number.NaN, Number.POSITIVE_INFINITY, -1])('a figure of %p counts as unknown', bad => {
    const spoiled = { ...rtx4090, bandwidthGBs: bad, memoryMb: bad, fp16Tflops: bad }
    const { score, explanation } = capabilityScore(spoiled)
    expect(score).toBe(10)
    expect(explanation).not.toMatch(/NaN|Infinity|-1/)
    const measuredBadly = { ...rtx4090, measuredDecode: { tokensPerS: bad, workPerToken: 1 } }
    expect(capabilityScore(measuredBadly)).toEqual(capabilityScore(rtx4090))
  })
})

test('it lies between 0 and 100, is the sum of its parts, and the explanation adds up', () => {
  fc.assert(
    fc.property(anyInput, input => {
      const { score, parts, explanation } = capabilityScore(input)
      expect(score).toBeGreaterThanOrEqual(0)
      expect(score).toBeLessThanOrEqual(100)
      const sum = Object.values(parts).reduce((total, part) => total + part, 0)
      expect(Math.abs(score - sum)).toBeLessThan(0.05)
      expect(explanation.startsWith(`${score} = `)).toBe(true)
      expect(explanation).not.toMatch(/NaN|null|undefined|Infinity/)
    }),
  )
})

test('a measurement replaces the figure of the table, upwards and downwards', () => {
  const at = (tokensPerS: number) =>
    capabilityScore({
      ...rtx4090,
      measuredDecode: { tokensPerS, workPerToken: referenceModel.bytesPerToken },
    })
  const byTable = capabilityScore(rtx4090)
  expect(at(150).parts.decode).toBeGreaterThan(byTable.parts.decode)
  expect(at(40).parts.decode).toBeLessThan(byTable.parts.decode)
  expect(at(40).explanation).toContain('40 tokens/s of an 8B model, measured')
})

test('the same speed measured on another model is the same score: work per second counts', () => {
  const measuredOn = (share: number) =>
    capabilityScore({
      ...rtx4090,
      measuredDecode: {
        tokensPerS: 100 / share,
        workPerToken: referenceModel.bytesPerToken * share,
      },
    }).score
  expect(measuredOn(0.25)).toBe(measuredOn(1))
  expect(measuredOn(4)).toBe(measuredOn(1))
})

test('every part of the table has a score, and the order of well-known ones is right', () => {
  const scoreOf = (key: string) => {
    const card = cards.find(one => one.key === key)!
    const memoryMb = (card.memoryGb.at(-1) ?? 8) * 1024
    return capabilityScore({ ...nothing, ...card, memoryMb, int8: card.architecture.int8 }).score
  }
  for (const card of cards) expect(scoreOf(card.key)).toBeGreaterThan(0)
  const order = [
    'nvidia-h200',
    'nvidia-l40s',
    'intel-arc-pro-b70',
    'intel-arc-b580',
    'amd-radeon-rx-6800m-laptop',
    'amd-radeon-rx-6600m-laptop',
    'amd-radeon-vega-11',
  ].map(scoreOf)
  expect(order).toEqual([...order].sort((a, b) => b - a))
})
