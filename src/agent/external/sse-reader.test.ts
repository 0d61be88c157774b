import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { SseReader, sseLineBytesMax } from './sse-reader.ts'

const bytesOf = (text: string) => new TextEncoder().encode(text)

/** Reads a stream that comes in pieces of the given sizes, the last one again and again. */
function readAll(stream: Uint8Array, sizes: readonly number[]) {
  const reader = new SseReader()
  const data: string[] = []
  const take = (event: string) => void data.push(event)
  let problem: string | null = null
  for (let at = 0, i = 0; at < stream.length && problem === null; i++) {
    const size = sizes[Math.min(i, sizes.length - 1)] ?? stream.length
    problem = reader.push(stream.subarray(at, at + size), take)
    at += size
  }
  return { data, problem: problem ?? reader.end(take) }
}

test('events come out whole, however the stream was cut, with any line ends', () => {
  const texts = fc.array(fc.string({ unit: 'grapheme', maxLength: 40 }), { maxLength: 12 })
  const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 20 })
  fc.assert(
    fc.property(texts, sizes, fc.constantFrom('\n', '\r\n'), (written, cuts, lineEnd) => {
      const events = written.map(text => JSON.stringify(text))
      const lines = events.map(event => `data: ${event}${lineEnd}${lineEnd}`)
      expect(readAll(bytesOf(lines.join('')), cuts)).toEqual({ data: events, problem: null })
    }),
  )
})

test('comments, other fields and empty lines are skipped; the space behind the colon is no part', () => {
  const stream = ': keep-alive\n\n\nevent: chunk\nid: 1\ndata:{"a":1}\n\nretry: 5\ndata: [DONE]\n\n'
  expect(readAll(bytesOf(stream), [3]).data).toEqual(['{"a":1}', '[DONE]'])
})

test('several data lines are one event', () => {
  expect(readAll(bytesOf('data: a\ndata: b\n\n'), [99]).data).toEqual(['a\nb'])
})

test('an event at the end counts without its empty line, and without its line end', () => {
  expect(readAll(bytesOf('data: a\n'), [99]).data).toEqual(['a'])
  expect(readAll(bytesOf('data: a'), [99]).data).toEqual(['a'])
})

test('a line may have the limit and no byte more, and neither may an event of many lines', () => {
  const longest = 'x'.repeat(sseLineBytesMax - 'data: '.length)
  expect(readAll(bytesOf(`data: ${longest}\n\n`), [1_000])).toEqual({
    data: [longest],
    problem: null,
  })
  expect(readAll(bytesOf(`data: ${longest}x`), [1_000]).problem).toContain('more than')
  const lines = `data: ${'x'.repeat(1_000)}\n`.repeat(200)
  expect(readAll(bytesOf(lines), [5_000]).problem).toContain('more than')
})
