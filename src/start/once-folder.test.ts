import { afterEach, beforeEach, expect, test } from 'bun:test'
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { claimOnceFolder } from './once-folder.ts'

let dataDir: string
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'gpupool-once-'))
})
afterEach(() => rmSync(dataDir, { recursive: true, force: true }))

test('a run has a folder of its own and leaves nothing behind', () => {
  const claimed = claimOnceFolder(dataDir)
  mkdirSync(join(claimed.path, 'pglite'))
  claimed.release()
  expect(readdirSync(dataDir)).toEqual([])
})

test('what killed runs left behind is removed; a running one and the pool that stays are left alone', () => {
  const dead = Bun.spawnSync([process.execPath, '-e', '0']).pid
  for (const name of [`once-${dead}`, `once-${process.ppid}`, 'pglite'])
    mkdirSync(join(dataDir, name))
  const claimed = claimOnceFolder(dataDir)
  expect(new Set(readdirSync(dataDir))).toEqual(
    new Set([`once-${process.ppid}`, 'pglite', basename(claimed.path)]),
  )
})
