import { expect, test } from 'bun:test'
import { SseResponse } from './sse-response.ts'

const chunk = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`
const head = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'
const whole = `${head}${chunk('data: a\n\ndata: b\n')}${chunk('\ndata: [DONE]\n\n')}0\r\n\r\n`

test.each([1, 2, 3, 7, whole.length])('events are counted in pieces of %d bytes', bytes => {
  const response = new SseResponse()
  const ends = []
  for (let at = 0; at < whole.length; at += bytes)
    ends.push(response.push(Buffer.from(whole.slice(at, at + bytes))))
  expect(response.events).toBe(3)
  expect(ends.at(-1)).toEqual({ complete: true, problem: null })
  expect(ends.slice(0, -1).every(end => end === null)).toBe(true)
})

test('another status is a failure that says which', () => {
  const end = new SseResponse().push(Buffer.from('HTTP/1.1 503 Service Unavailable\r\n\r\n'))
  expect(end).toEqual({ complete: false, problem: 'HTTP/1.1 503 Service Unavailable' })
})
