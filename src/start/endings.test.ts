import { expect, test } from 'bun:test'
import { readableLine } from './endings.ts'

test('a line of the log is told in words, with its fields but without its time', () => {
  const line =
    '{"level":"info","time":"2026-01-01T00:00:00Z","status":200,"route":"/x","msg":"http"}'
  expect(readableLine(line)).toBe('http status=200 route="/x"')
})

test('what is not a line of the log is shown as it is', () => {
  for (const line of ['panic!', '{"half', '{"event":"ready"}', ''])
    expect(readableLine(line)).toBe(line)
})
