import { afterEach, expect, test } from 'bun:test'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openBoundedLog } from './bounded-log.ts'
import { superviseProcess, type SupervisedProcess } from './supervised-process.ts'

const folder = mkdtempSync(join(tmpdir(), 'gpupool-supervised-'))
const logPath = join(folder, 'child.log')
const running: SupervisedProcess[] = []

/** A real child: a few lines of TypeScript under this Bun. */
function child(program: string): SupervisedProcess {
  const started = superviseProcess({
    name: 'child',
    command: ['-e', program],
    env: process.env,
    log: openBoundedLog(logPath),
  })
  running.push(started)
  return started
}

afterEach(async () => {
  for (const each of running.splice(0)) {
    each.kill()
    await each.ended
  }
  rmSync(logPath, { force: true })
})

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

const stay = 'setInterval(() => {}, 1000);'

test('an event on stdout is seen, also among other lines, and its fields come with it', async () => {
  const started = child(`console.log('hello'); console.log('{"event":"other"}');
    console.log(JSON.stringify({ event: 'ready', apiUrl: 'http://x' })); ${stay}`)
  expect(await started.next('ready')).toEqual({ event: 'ready', apiUrl: 'http://x' })
})

test('waiting for an event ends when the process does', async () => {
  const started = child('process.exit(3)')
  expect(await started.next('ready')).toBeUndefined()
  expect(await started.ended).toBe(3)
  expect(await started.next('ready')).toBeUndefined()
})

test('the last lines of stderr are kept and all output is logged', async () => {
  const started = child(
    `console.log('to stdout'); for (let i = 1; i <= 100; i++) console.error('line ' + i)`,
  )
  await started.ended
  expect(started.lastLines()).toHaveLength(40)
  expect(started.lastLines().at(-1)).toBe('line 100')
  const log = readFileSync(logPath, 'utf8')
  expect(log).toContain('to stdout\n')
  expect(log).toContain('line 1\n')
})

test('stop lets a process finish what it does on SIGTERM', async () => {
  const mark = join(folder, 'goodbye')
  const started = child(`process.on('SIGTERM', () => {
      require('node:fs').writeFileSync(${JSON.stringify(mark)}, ''); process.exit(0) });
    console.log('{"event":"ready"}'); ${stay}`)
  await started.next('ready')
  await started.stop()
  expect(existsSync(mark)).toBe(true)
  expect(await started.ended).toBe(0)
})

test('stop kills a process that does not listen', async () => {
  const started = child(
    `process.on('SIGTERM', () => {}); console.log('{"event":"ready"}'); ${stay}`,
  )
  await started.next('ready')
  await started.stop(1)
  expect(isAlive(started.pid)).toBe(false)
  expect(await started.ended).toBe(137)
})

test('what a process started does not outlive it', async () => {
  const started = child(`Bun.spawn([process.execPath, '-e', ${JSON.stringify(stay)}],
      { stdout: 'inherit', stderr: 'inherit' });
    console.log('{"event":"ready"}'); ${stay}`)
  await started.next('ready')
  process.kill(started.pid, 'SIGKILL')
  // The inner process holds the same pipes, so this would wait for as long as it lived.
  expect(await started.ended).toBe(137)
})
