import { expect, test } from 'bun:test'
import { parseOptions } from './options.ts'

test('no argument stays up; --once takes one prompt, in either spelling', () => {
  expect(parseOptions([])).toEqual({ type: 'run', once: null })
  expect(parseOptions(['--once', 'Hello there'])).toEqual({ type: 'run', once: 'Hello there' })
  expect(parseOptions(['--once=Hello'])).toEqual({ type: 'run', once: 'Hello' })
  expect(parseOptions(['--help'])).toEqual({ type: 'help' })
})

test('a missing, empty or unquoted prompt and an unknown argument are refused', () => {
  for (const args of [['--once'], ['--once', ' '], ['--once', 'Hello', 'there'], ['--twice']])
    expect(parseOptions(args).type).toBe('wrong')
})
