import { expect, test } from 'bun:test'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openBoundedLog } from './bounded-log.ts'

test('a log never takes more than twice its bound and keeps the newest lines', () => {
  const folder = mkdtempSync(join(tmpdir(), 'gpupool-log-'))
  const path = join(folder, 'logs', 'x.log')
  const log = openBoundedLog(path, 100)
  for (let line = 0; line < 50; line++) log.write(`line ${line}\n`)
  log.close()
  expect(statSync(path).size + statSync(`${path}.1`).size).toBeLessThanOrEqual(200)
  expect(readFileSync(path, 'utf8')).toEndWith('line 49\n')
  rmSync(folder, { recursive: true })
})

test('a log goes on where an earlier run ended', () => {
  const folder = mkdtempSync(join(tmpdir(), 'gpupool-log-'))
  const path = join(folder, 'x.log')
  for (const text of ['first\n', 'second\n']) {
    const log = openBoundedLog(path, 100)
    log.write(text)
    log.close()
  }
  expect(readFileSync(path, 'utf8')).toBe('first\nsecond\n')
  expect(existsSync(`${path}.1`)).toBe(false)
  rmSync(folder, { recursive: true })
})
