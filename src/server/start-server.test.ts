import { afterEach, beforeEach, expect, test } from 'bun:test'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../clock.ts'
import { loadConfig } from './config.ts'
import { createLog } from './log.ts'
import { startServer } from './start-server.ts'

const clock = systemClock
const log = createLog({ level: 'silent', pretty: false, clock })

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'gpupool-start-'))
})
afterEach(() => rm(dir, { recursive: true, force: true }))

/** The problem that stands in the way, with these settings beside ones that work. */
async function problemWith(settings: Record<string, string>): Promise<string> {
  const loaded = loadConfig({
    GPUPOOL_DATA_DIR: dir,
    GPUPOOL_PORT: '0',
    GPUPOOL_AGENT_PORT: '0',
    GPUPOOL_AGENT_HOST: '127.0.0.1',
    ...settings,
  })
  if ('problems' in loaded) throw new Error(loaded.problems.join())
  const started = await startServer(loaded.config, { clock, log })
  if ('problem' in started) return started.problem
  await started.stop()
  return 'it started'
}

test('every port that is taken is named with the setting that changes it, and nothing stays open', async () => {
  const taken = Bun.serve({ hostname: '127.0.0.1', port: 0, fetch: () => new Response() })
  const port = String(taken.port)
  for (const setting of ['GPUPOOL_PORT', 'GPUPOOL_AGENT_PORT']) {
    const problem = await problemWith({ [setting]: port })
    expect(problem).toContain(`port ${port} is taken`)
    expect(problem).toContain(setting)
  }
  await taken.stop(true)
  expect(await problemWith({ GPUPOOL_PORT: port })).toBe('it started')
}, 60_000)

test('an address of another machine is named with its setting', async () => {
  expect(await problemWith({ GPUPOOL_AGENT_HOST: '203.0.113.9' })).toContain('GPUPOOL_AGENT_HOST')
  const outside = { GPUPOOL_HOST: 'nosuch.invalid', GPUPOOL_TLS_PROXY: 'true' }
  expect(await problemWith(outside)).toContain('GPUPOOL_HOST')
}, 60_000)

test('a data directory that cannot be made is named', async () => {
  const file = join(dir, 'file')
  await writeFile(file, '')
  expect(await problemWith({ GPUPOOL_DATA_DIR: join(file, 'below') })).toContain('GPUPOOL_DATA_DIR')
})
