import { afterEach, beforeEach, expect, test } from 'bun:test'
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { adminKeyPath, loadAdminKey } from './admin-key.ts'

let dataDir = ''
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'gpupool-admin-key-'))
})
afterEach(() => rm(dataDir, { recursive: true }))

test('the first start makes a key that only its owner can read; later ones use it', async () => {
  const first = await loadAdminKey(dataDir, null)
  expect(first).toEqual({ key: expect.stringMatching(/^gpadmin_[\w-]{43}$/) })
  expect((await stat(adminKeyPath(dataDir))).mode & 0o777).toBe(0o600)
  expect(await loadAdminKey(dataDir, null)).toEqual(first)
})

test('servers that start at the same moment agree on one key', async () => {
  const keys = await Promise.all(Array.from({ length: 8 }, () => loadAdminKey(dataDir, null)))
  const kept = (await readFile(adminKeyPath(dataDir), 'utf8')).trim()
  expect(new Set(keys.map(each => (typeof each === 'string' ? each : each.key)))).toEqual(
    new Set([kept]),
  )
})

test('a configured key is used and nothing is written', async () => {
  expect(await loadAdminKey(dataDir, 'a-key-from-the-environment')).toEqual({
    key: 'a-key-from-the-environment',
  })
  await expect(stat(adminKeyPath(dataDir))).rejects.toThrow('ENOENT')
})

test('a key file that others can read is refused, and so is one without a key', async () => {
  await writeFile(adminKeyPath(dataDir), 'gpadmin_0123456789012345\n')
  await chmod(adminKeyPath(dataDir), 0o644)
  expect(await loadAdminKey(dataDir, null)).toContain('chmod 600')
  await writeFile(adminKeyPath(dataDir), '\n')
  await chmod(adminKeyPath(dataDir), 0o600)
  expect(await loadAdminKey(dataDir, null)).toContain('holds no key')
})
