import { afterAll, expect, test } from 'bun:test'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { takeFile } from './exclusive-file.ts'

const folder = mkdtempSync(join(tmpdir(), 'gpupool-lock-'))
afterAll(() => rmSync(folder, { recursive: true }))

test('has one holder at a time, who says so in it; the next one replaces what it said', () => {
  const path = join(folder, 'lock')
  const first = takeFile(path, 'the first, at some length')
  if ('taken' in first) throw new Error('a new file was taken')
  expect(takeFile(path, 'second')).toEqual({ taken: true, content: 'the first, at some length' })
  first.release()
  const second = takeFile(path, 'second')
  expect(readFileSync(path, 'utf8')).toBe('second')
  if (!('taken' in second)) second.release()
  expect('taken' in second).toBe(false)
})

test('a path that cannot be opened throws what the operating system says', () => {
  expect(() => takeFile(join(folder, 'absent', 'lock'), '')).toThrow('ENOENT')
})
