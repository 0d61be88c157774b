import { expect, test } from 'bun:test'
import { createLog, errorFields, type LogFields } from './log.ts'

const clock = { now: () => Date.UTC(2026, 11, 1) }
function capture(options: { level?: 'info' | 'silent'; pretty?: boolean } = {}) {
  const lines: string[] = []
  const { level = 'info', pretty = false } = options
  const log = createLog({ level, pretty, clock, sink: { write: line => void lines.push(line) } })
  return { log, lines }
}

test('a line is JSON with level, time, event and its fields', () => {
  const { log, lines } = capture()
  log.warn('agent', { agentId: 'a', count: 2 })
  expect(JSON.parse(lines[0]!)).toEqual({
    level: 'warn',
    time: '2026-12-01T00:00:00.000Z',
    msg: 'agent',
    agentId: 'a',
    count: 2,
  })
})

test('a field that is not on the list is not written, whatever the compiler was told', () => {
  const { log, lines } = capture()
  log.info('request', { prompt: 'canary', status: 200 } as LogFields)
  expect(lines[0]).not.toContain('canary')
  expect(lines[0]).toContain('"status":200')
})

test('lines below the level are not written', () => {
  const { log, lines } = capture()
  log.debug('x')
  expect(lines).toEqual([])
})

test('a pretty line is for people and holds the same', () => {
  const { log, lines } = capture({ pretty: true })
  log.info('ready', { url: 'http://x' })
  expect(lines.join('')).toContain('ready')
  expect(lines.join('')).toContain('http://x')
  expect(() => JSON.parse(lines[0]!)).toThrow()
})

test('of an error the first line of the message and the frames are kept, not the values after them', () => {
  const fields = errorFields(new TypeError('Failed query: insert\nparams: canary'))
  expect(fields.errorName).toBe('TypeError')
  expect(fields.errorMessage).toBe('Failed query: insert')
  expect(fields.stack).toContain('log.test.ts')
  expect(JSON.stringify(fields)).not.toContain('canary')
})
