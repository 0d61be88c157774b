import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { limits } from './limits.ts'
import { encodeTokenFrame } from './token-frame.ts'
import { decodeTokenFrames, joinTokenFrames } from './token-frames.ts'

const frame = fc.record({
  stream: fc.nat(4_294_967_295),
  attempt: fc.nat(65_535),
  choice: fc.nat(65_535),
  index: fc.nat(4_294_967_295),
  tokenId: fc.oneof(fc.nat(4_294_967_295), fc.constantFrom(null, 'unknown' as const)),
  segments: fc.array(
    fc.record({ kind: fc.constant('answer' as const), text: fc.string({ unit: 'binary' }) }),
    { maxLength: 2 },
  ),
})

const join = (values: readonly Parameters<typeof encodeTokenFrame>[0][]) => {
  const [first, ...others] = values.map(encodeTokenFrame)
  if (first === undefined) throw new Error('nothing to join')
  return joinTokenFrames([first, ...others])
}

test('frames come back as they were and in their order, one or many', () => {
  fc.assert(
    fc.property(fc.array(frame, { minLength: 1, maxLength: 20 }), values => {
      const frames = values.map(value => ({ type: 'token' as const, ...value }))
      expect(decodeTokenFrames(join(values))).toEqual({ type: 'tokens', frames })
    }),
  )
})

test('one frame alone travels as it is, which every server understands', () => {
  const bytes = encodeTokenFrame({
    stream: 1,
    attempt: 0,
    choice: 0,
    index: 0,
    tokenId: 1,
    segments: [],
  })
  expect(joinTokenFrames([bytes])).toBe(bytes)
})

test('no bytes are accepted wrongly or crash: random, cut and changed messages', () => {
  const values = fc.array(frame, { minLength: 2, maxLength: 5 })
  fc.assert(
    fc.property(values, fc.nat(), fc.nat(255), (value, at, byte) => {
      const bytes = join(value)
      const cut = decodeTokenFrames(bytes.subarray(0, at % bytes.length))
      if (typeof cut !== 'string') expect(cut.frames.length).toBeLessThan(value.length)
      bytes[at % bytes.length] = byte
      decodeTokenFrames(bytes)
    }),
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), bytes => {
      decodeTokenFrames(new Uint8Array([2, ...bytes]))
    }),
  )
})

test('each way of being wrong is named', () => {
  const value = { stream: 1, attempt: 0, choice: 0, index: 0, tokenId: 1, segments: [] }
  const good = join([value, value])
  const changed = (at: number, byte: number) => {
    const bytes = good.slice()
    bytes[at] = byte
    return decodeTokenFrames(bytes)
  }
  expect(decodeTokenFrames(new Uint8Array(0))).toContain('empty')
  expect(changed(0, 9)).toContain('frame type 9')
  expect(changed(1, 200)).toContain('past the end of the message')
  expect(changed(5, 7)).toContain('frame type 7')
  expect(decodeTokenFrames(good.subarray(0, good.length - 21))).toContain('frame length')
  const tooMuch = new Uint8Array(limits.tokenFramesBytesMax + 1)
  tooMuch[0] = 2
  expect(decodeTokenFrames(tooMuch)).toContain('limit')
})
