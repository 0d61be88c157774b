import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { limits } from './limits.ts'
import { decodeTokenFrame, encodeTokenFrame, type SegmentKind } from './token-frame.ts'

const decode = (bytes: Uint8Array) =>
  decodeTokenFrame(
    bytes,
    new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
    0,
    bytes.length,
  )

const kind = fc.constantFrom<SegmentKind>('answer', 'reasoning', 'tool_call')
const entry = {
  logprob: fc.float({ min: -9_999, max: 0, noNaN: true }),
  bytes: fc.uint8Array({ maxLength: 12 }),
}
const logprob = fc.record({ ...entry, top: fc.array(fc.record(entry), { maxLength: 20 }) })
const base = fc.record({
  stream: fc.nat(4_294_967_295),
  attempt: fc.nat(65_535),
  choice: fc.nat(65_535),
  index: fc.nat(4_294_967_295),
  tokenId: fc.oneof(fc.nat(4_294_967_295), fc.constantFrom(null, 'unknown' as const)),
  segments: fc.array(fc.record({ kind, text: fc.string({ unit: 'binary' }) }), { maxLength: 4 }),
})

const frame = fc.oneof(
  base,
  fc.tuple(base, logprob).map(([value, told]) => ({ ...value, logprob: told })),
)

test('every frame comes back as it was', () => {
  fc.assert(
    fc.property(frame, value => {
      expect(decode(encodeTokenFrame(value))).toEqual({ type: 'token', ...value })
    }),
  )
})

test('no bytes are accepted wrongly or crash: random, cut and changed frames', () => {
  fc.assert(
    fc.property(frame, fc.nat(), fc.nat(255), (value, at, byte) => {
      const bytes = encodeTokenFrame(value)
      const cut = decode(bytes.subarray(0, at % bytes.length))
      if (typeof cut !== 'string') expect(cut.segments.length).toBe(0)
      if ('logprob' in value) expect(typeof cut).toBe('string')
      bytes[at % bytes.length] = byte
      const changed = decode(bytes)
      if (typeof changed !== 'string')
        expect(encodeTokenFrame(changed).length).toBeLessThanOrEqual(bytes.length)
    }),
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), bytes => {
      decode(bytes)
    }),
  )
})

test('a segment that begins with a byte order mark keeps it', () => {
  const segments = [{ kind: 'answer' as const, text: '\ufeffabc' }]
  const value = { stream: 1, attempt: 0, choice: 0, index: 0, tokenId: 1, segments }
  expect(decode(encodeTokenFrame(value))).toEqual({ type: 'token', ...value })
})

test('bytes after the last segment are ignored, for what a later version may add', () => {
  const value = {
    stream: 1,
    attempt: 2,
    choice: 0,
    index: 3,
    tokenId: 4,
    segments: [{ kind: 'answer' as const, text: 'é' }],
  }
  const longer = new Uint8Array([...encodeTokenFrame(value), 9, 9, 9])
  expect(decode(longer)).toEqual({ type: 'token', ...value })
})

test('a log probability that is none is refused: positive, no number, or with too many alternatives', () => {
  const alternative = { logprob: -1, bytes: new Uint8Array([120]) }
  const framed = (change: object) =>
    decode(
      encodeTokenFrame({
        stream: 1,
        attempt: 0,
        choice: 0,
        index: 0,
        tokenId: 1,
        segments: [],
        logprob: { ...alternative, top: [], ...change },
      }),
    )
  expect(framed({})).toMatchObject({ logprob: alternative })
  for (const wrong of [0.5, NaN, -Infinity])
    expect(framed({ logprob: wrong })).toContain('no logarithm of a probability')
  const top = Array.from({ length: limits.topLogprobsMax + 1 }, () => alternative)
  expect(framed({ top })).toContain('alternatives')
})

test('each way of being wrong is named', () => {
  const good = encodeTokenFrame({
    stream: 1,
    attempt: 0,
    choice: 0,
    index: 0,
    tokenId: 1,
    segments: [{ kind: 'answer', text: 'abc' }],
  })
  const changed = (at: number, byte: number) => {
    const bytes = good.slice()
    bytes[at] = byte
    return decode(bytes)
  }
  expect(decode(good.subarray(0, 19))).toContain('shorter than its header')
  expect(changed(0, 7)).toContain('frame type 7')
  expect(changed(20, 9)).toContain('segment kind 9')
  expect(changed(21, 200)).toContain('past the end')
  expect(changed(10, 2)).toContain('segment header')
  expect(changed(25, 0xff)).toContain('UTF-8')
  expect(changed(27, 0x80)).toContain('UTF-8')
  expect(decode(new Uint8Array(limits.tokenFrameBytesMax + 1))).toContain('limit')
})
