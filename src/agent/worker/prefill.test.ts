import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { prefillPieces } from './prefill.ts'

const ids = (count: number, from = 0): number[] => Array.from({ length: count }, (_, i) => from + i)
const lengths = (pieces: readonly number[][]) => pieces.map(piece => piece.length)

test('a first attempt computes the prompt in whole pieces and a rest', () => {
  expect(lengths(prefillPieces(ids(600), [], 512))).toEqual([512, 88])
})

test('a continuation cuts the prompt alike, the answer small, and ends with one token alone', () => {
  const pieces = prefillPieces(ids(600), ids(70, 1000), 512)
  expect(lengths(pieces)).toEqual([512, 88, 32, 32, 5, 1])
  expect(pieces.flat()).toEqual([...ids(600), ...ids(70, 1000)])
})

test('what follows cached whole pieces is cut as it is without them', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 3_000 }),
      fc.integer({ min: 0, max: 80 }),
      fc.nat(),
      (promptTokens, replayedTokens, cut) => {
        const [prompt, replayed] = [ids(promptTokens), ids(replayedTokens, 10_000)]
        const whole = prefillPieces(prompt, replayed, 256)
        const cachedPieces = cut % Math.ceil(promptTokens / 256)
        const rest = prompt.slice(cachedPieces * 256)
        expect(prefillPieces(rest, replayed, 256)).toEqual(whole.slice(cachedPieces))
      },
    ),
  )
})
