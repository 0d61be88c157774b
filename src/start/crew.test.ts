import { afterEach, beforeEach, expect, test } from 'bun:test'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createCrew, type Crew } from './crew.ts'
import { createHalt, type Halt } from './halt.ts'

let folder: string
let halt: Halt
let crew: Crew

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gpupool-crew-'))
  halt = createHalt()
  crew = createCrew(halt)
})
afterEach(async () => {
  await crew.dismiss()
  rmSync(folder, { recursive: true, force: true })
})

const job = (name: string, program: string) => ({
  name,
  command: ['-e', program],
  env: process.env,
  logPath: join(folder, `${name}.log`),
})

/** Stays until it is asked to go, and writes down when that was. */
const loyal = (name: string, diary: string) =>
  job(
    name,
    `process.on('SIGTERM', () => {
      require('node:fs').appendFileSync(${JSON.stringify(diary)}, '${name} '); process.exit(0) });
    console.log('{"event":"ready"}'); setInterval(() => {}, 1000)`,
  )

test('a process that ends on its own halts the run and is named', async () => {
  const server = crew.hire(job('server', `console.error('out of luck'); process.exit(9)`))
  const reason = await halt.halted
  expect(reason).toEqual({ type: 'died', process: server, code: 9 })
  expect(server.lastLines()).toEqual(['out of luck'])
})

test('the agent stops before the server, and neither counts as an unexpected end', async () => {
  const diary = join(folder, 'diary')
  await crew.hire(loyal('server', diary)).next('ready')
  await crew.hire(loyal('agent', diary)).next('ready')
  await crew.dismiss()
  expect(readFileSync(diary, 'utf8')).toBe('agent server ')
  expect(halt.signal.aborted).toBe(false)
})

test('a command that fails gives its exit code and what it said', async () => {
  const done = await crew.runToEnd(job('join', `console.error('no such link'); process.exit(4)`))
  expect(done).toEqual({ code: 4, lines: ['no such link'] })
  expect(halt.signal.aborted).toBe(false)
})

test('a halt ends the wait for a command, whose process then goes with the rest', async () => {
  const waiting = crew.runToEnd(job('join', 'setInterval(() => {}, 1000)'))
  halt.with({ type: 'signal', signal: 'SIGINT' })
  expect(await waiting).toBeUndefined()
  crew.kill()
})

test('the first reason to halt is the one that counts', async () => {
  halt.with({ type: 'signal', signal: 'SIGINT' })
  halt.with({ type: 'signal', signal: 'SIGTERM' })
  expect(await halt.halted).toEqual({ type: 'signal', signal: 'SIGINT' })
})
