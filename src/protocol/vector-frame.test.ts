import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { limits } from './limits.ts'
import { encodeTokenFrame } from './token-frame.ts'
import { decodeTokenFrames, joinTokenFrames } from './token-frames.ts'
import { encodeVectorFrame } from './vector-frame.ts'

const frame = fc.record({
  stream: fc.nat(4_294_967_295),
  attempt: fc.nat(65_535),
  index: fc.nat(4_294_967_295),
  promptTokens: fc.nat(4_294_967_295),
  values: fc.float32Array({ maxLength: 40, noNaN: true }),
})

test('vectors come back to the bit, alone and among tokens, wherever they lie in a message', () => {
  const token = { stream: 1, attempt: 0, choice: 0, index: 3, tokenId: 9, segments: [] }
  fc.assert(
    fc.property(fc.array(frame, { minLength: 1, maxLength: 8 }), values => {
      const frames = values.map(value => ({ type: 'vector' as const, ...value }))
      for (const [i, value] of values.entries())
        expect(decodeTokenFrames(encodeVectorFrame(value))).toEqual({
          type: 'tokens',
          frames: [frames[i]!],
        })
      const joined = joinTokenFrames([encodeTokenFrame(token), ...values.map(encodeVectorFrame)])
      const shifted = new Uint8Array(joined.length + 3)
      shifted.set(joined, 3)
      expect(decodeTokenFrames(shifted.subarray(3))).toEqual({
        type: 'tokens',
        frames: [{ type: 'token', ...token }, ...frames],
      })
    }),
  )
})

test('stream and attempt lie where a token frame has them, so that an agent passes both on alike', () => {
  const vector = encodeVectorFrame({
    stream: 7,
    attempt: 2,
    index: 0,
    promptTokens: 1,
    values: Float32Array.of(1),
  })
  const token = encodeTokenFrame({
    stream: 7,
    attempt: 2,
    choice: 0,
    index: 0,
    tokenId: 1,
    segments: [],
  })
  expect(vector.slice(2, 8)).toEqual(token.slice(2, 8))
})

test('no bytes are accepted wrongly or crash: cut and changed frames', () => {
  fc.assert(
    fc.property(frame, fc.nat(), fc.nat(255), (value, at, byte) => {
      const bytes = encodeVectorFrame(value)
      expect(typeof decodeTokenFrames(bytes.subarray(0, at % bytes.length))).toBe('string')
      const place = at % bytes.length
      bytes[place] = byte
      const decoded = decodeTokenFrames(bytes)
      // With its first byte changed, a vector can be a token frame that is in order.
      if (typeof decoded === 'string' || place === 0) return
      for (const { type } of decoded.frames) expect(type).toBe('vector')
    }),
  )
})

test('a vector over the limit is refused, the longest allowed is not', () => {
  const of = (length: number) =>
    decodeTokenFrames(
      encodeVectorFrame({
        stream: 1,
        attempt: 0,
        index: 0,
        promptTokens: 1,
        values: new Float32Array(length),
      }),
    )
  expect(of(limits.embeddingDimensionsMax)).toMatchObject({ type: 'tokens' })
  expect(of(limits.embeddingDimensionsMax + 1)).toContain('over the limit')
})
