import { expect, test } from 'bun:test'
import { prefillPieces } from './run-job.ts'

const ids = (count: number, from = 0): number[] => Array.from({ length: count }, (_, i) => from + i)

test('a first attempt computes the prompt in full batches', () => {
  expect(prefillPieces(ids(600), []).map(piece => piece.length)).toEqual([512, 88])
})

test('a continuation cuts the prompt alike, the answer small, and ends with one token alone', () => {
  const pieces = prefillPieces(ids(600), ids(70, 1000))
  expect(pieces.map(piece => piece.length)).toEqual([512, 88, 32, 32, 5, 1])
  expect(pieces.flat()).toEqual([...ids(600), ...ids(70, 1000)])
})
