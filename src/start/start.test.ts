import { afterEach, beforeEach, expect, test } from 'bun:test'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, watch } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readLines } from './lines.ts'

/** `npm start` as a process, with stand-ins for server and agent, so that their misfortunes can be chosen. */
const start = join(import.meta.dir, 'start.ts')
const fixture = join(import.meta.dir, 'fixture')

let dataDir: string
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'gpupool-start-'))
})
afterEach(() => rmSync(dataDir, { recursive: true, force: true }))

function run(args: readonly string[], misfortune?: string) {
  const child = Bun.spawn([process.execPath, start, ...args], {
    cwd: fixture,
    env: { ...process.env, GPUPOOL_DATA_DIR: dataDir, GPUPOOL_PORT: '4711', FIXTURE: misfortune },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  })
  return child
}

async function runToEnd(args: readonly string[], misfortune?: string) {
  const child = run(args, misfortune)
  const [stdout, stderr, code] = await Promise.all([
    child.stdout.text(),
    child.stderr.text(),
    child.exited,
  ])
  return { stdout, stderr, code }
}

/** Waits until a pool that stays says that it is up. @returns all of its stdout, at its end */
async function untilUp(child: ReturnType<typeof run>): Promise<{ rest: Promise<string> }> {
  const { promise: up, resolve } = Promise.withResolvers<void>()
  const lines: string[] = []
  const rest = readLines(child.stdout, line => {
    lines.push(line)
    if (line.startsWith('The pool is up')) resolve()
  }).then(() => lines.join('\n'))
  await Promise.race([up, rest])
  return { rest }
}

const diary = (): string[] => {
  const path = join(dataDir, 'diary')
  return existsSync(path) ? readFileSync(path, 'utf8').trimEnd().split('\n') : []
}

test('--once prints the answer alone on stdout, exits 0 and leaves nothing behind', async () => {
  const { stdout, stderr, code } = await runToEnd(['--once', 'What is this?'], 'parrot')
  expect(stdout).toBe('What is this?\n')
  expect(stderr).toBe('')
  expect(code).toBe(0)
  expect(readdirSync(dataDir)).toEqual(['port'])
})

test('--once takes any port; a pool that stays takes the one that is set', async () => {
  await runToEnd(['--once', 'x'])
  expect(readFileSync(join(dataDir, 'port'), 'utf8')).toBe('0')
  const child = run([])
  await untilUp(child)
  child.kill('SIGTERM')
  await child.exited
  expect(diary()).toContain('port 4711')
})

test('a pool that stays shows an answer and a curl with the real key, and ends with 0 on Ctrl-C', async () => {
  const child = run([])
  const { rest } = await untilUp(child)
  child.kill('SIGINT')
  expect(await child.exited).toBe(0)
  const stdout = await rest
  expect(stdout).toContain('A pool.')
  expect(stdout).toMatch(/curl -N http:\/\/127\.0\.0\.1:\d+\/v1\/chat\/completions/)
  expect(stdout).toContain('Bearer fixture-key')
  expect(diary().slice(-2)).toEqual(['agent stopped', 'server stopped'])
})

test('the second start uses the agent that the first one enrolled', async () => {
  for (const _ of ['first', 'second']) {
    const child = run([])
    await untilUp(child)
    child.kill('SIGTERM')
    await child.exited
  }
  expect(diary().filter(line => line.startsWith('joined'))).toHaveLength(1)
})

test('Ctrl-C in the middle of the start stops what was started, and says so in the exit code', async () => {
  const { promise: agentRuns, resolve } = Promise.withResolvers<void>()
  const watcher = watch(dataDir, () => {
    if (diary().includes('agent silent')) resolve()
  })
  const child = run([], 'agent never online')
  await agentRuns
  watcher.close()
  child.kill('SIGINT')
  expect(await child.exited).toBe(130)
  expect(diary().slice(-2)).toEqual(['agent stopped', 'server stopped'])
})

test('a SIGTERM passed on beside a Ctrl-C is not taken for a second Ctrl-C', async () => {
  const child = run([])
  await untilUp(child)
  child.kill('SIGINT')
  child.kill('SIGTERM')
  expect(await child.exited).toBe(0)
  expect(diary().slice(-2)).toEqual(['agent stopped', 'server stopped'])
})

test('a taken port is told once, in the server’s own words', async () => {
  const { stderr, stdout, code } = await runToEnd([], 'port taken')
  expect(code).toBe(1)
  expect(stderr.split('set GPUPOOL_PORT to another one')).toHaveLength(2)
  expect(stdout).toBe('')
})

test('when the agent dies it is named, its last lines are shown, and the server is stopped', async () => {
  const { stderr, code } = await runToEnd([], 'agent dies')
  expect(code).toBe(1)
  expect(stderr).toContain('The agent ended unexpectedly (exit code 7)')
  expect(stderr).toContain('the GPU has left the building')
  expect(diary().at(-1)).toBe('server stopped')
})
