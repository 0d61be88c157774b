import { afterAll, expect, test } from 'bun:test'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const root = join(import.meta.dir, '..')
const dataDir = mkdtempSync(join(tmpdir(), 'gpupool-npm-start-'))
afterAll(() => rmSync(dataDir, { recursive: true, force: true }))

/** Server and agent know this folder by their environment, wherever they hang in the process tree. Linux only. */
const processesOf = (folder: string): string[] =>
  (existsSync('/proc/self/environ') ? readdirSync('/proc') : []).filter(entry => {
    try {
      return /^\d+$/.test(entry) && readFileSync(`/proc/${entry}/environ`, 'utf8').includes(folder)
    } catch {
      // Gone meanwhile, or somebody else's.
      return false
    }
  })

test('npm start -- --once prints the demo model’s answer alone and leaves no data and no process', async () => {
  const start = Bun.spawn([process.execPath, 'src/start/start.ts', '--once', 'hello'], {
    cwd: root,
    env: { ...process.env, GPUPOOL_DATA_DIR: dataDir },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const [stdout, stderr, code] = await Promise.all([
    start.stdout.text(),
    start.stderr.text(),
    start.exited,
  ])
  expect({ stdout, code, stderr: code === 0 ? '' : stderr }).toEqual({
    stdout: 'Hello! How can I help you?\n',
    code: 0,
    stderr: '',
  })
  expect(readdirSync(dataDir)).toEqual([])
  expect(processesOf(dataDir)).toEqual([])
}, 60_000)
