import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import {
  encodeFrame,
  encodeJsonFrame,
  framePayloadBytesMax,
  FrameReader,
  type Frame,
} from './frames.ts'

function readAll(chunks: readonly Uint8Array<ArrayBuffer>[]): {
  frames: readonly [number, string][]
  problem: string | null
  pendingBytes: number
} {
  const reader = new FrameReader()
  const frames: [number, string][] = []
  const onFrame = (frame: Frame) => {
    frames.push([frame.kind, Buffer.from(frame.payload).toString('hex')])
  }
  let problem: string | null = null
  for (const chunk of chunks) problem ??= reader.push(chunk, onFrame)
  return { frames, problem, pendingBytes: reader.pendingBytes }
}

describe('frames', () => {
  test('come out as they went in, however the stream is cut', () => {
    const frame = fc.record({
      kind: fc.constantFrom(0, 1),
      payload: fc.uint8Array({ maxLength: 40 }),
    })
    fc.assert(
      fc.property(
        fc.array(frame, { maxLength: 6 }),
        fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }),
        (sent, sizes) => {
          const stream = new Uint8Array(
            Buffer.concat(sent.map(({ kind, payload }) => encodeFrame(kind as 0 | 1, payload))),
          )
          const chunks: Uint8Array<ArrayBuffer>[] = []
          for (let at = 0, i = 0; at < stream.length; i++) {
            const size = sizes[i % sizes.length] ?? 1
            chunks.push(stream.slice(at, at + size))
            at += size
          }
          expect(readAll(chunks)).toEqual({
            frames: sent.map(({ kind, payload }) => [kind, Buffer.from(payload).toString('hex')]),
            problem: null,
            pendingBytes: 0,
          })
        },
      ),
      { numRuns: 2000 },
    )
  })

  test('a payload that lies in one chunk is not copied', () => {
    const chunk = encodeJsonFrame({ a: 1 })
    new FrameReader().push(chunk, frame => {
      expect(frame.payload.buffer).toBe(chunk.buffer)
    })
    expect.assertions(1)
  })

  test('a length over the limit is refused before anything of it is held', () => {
    const bytes = Uint8Array.of(0, 0, 0, 0xff, 0)
    expect(readAll([bytes]).problem).toContain(`over the limit of ${framePayloadBytesMax}`)
    expect(readAll([...bytes].map(byte => Uint8Array.of(byte))).problem).toContain('over the limit')
  })

  test('an unknown kind and a frame without one are refused', () => {
    expect(readAll([Uint8Array.of(2, 0, 0, 0, 9, 1)]).problem).toContain('kind 9')
    expect(readAll([Uint8Array.of(0, 0, 0, 0)]).problem).toContain('without a kind')
  })

  test('a cut frame at the end of the stream shows', () => {
    expect(readAll([encodeJsonFrame({}).subarray(0, 6)]).pendingBytes).toBe(6)
  })
})
