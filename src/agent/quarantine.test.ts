import { afterAll, expect, test } from 'bun:test'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { newInstanceId } from '../protocol/ids.ts'
import { agentLimits } from './agent-limits.ts'
import {
  assignOf,
  Bench,
  brief,
  died,
  loadOf,
  ready,
  startedEngine,
} from './instances-for-tests.ts'
import { Quarantine } from './quarantine.ts'

const root = mkdtempSync(join(tmpdir(), 'gpupool-quarantine-'))
afterAll(() => rmSync(root, { recursive: true }))
const newDir = () => mkdtempSync(join(root, 'state-'))
const log = pino({ level: 'silent' })
const file = (n: number) => ({
  sha256: n.toString(16).padStart(64, '0'),
  model: `m${n}`,
  reason: 'it ended its worker',
})

test('is there after a new start, for the same version of the engine alone', () => {
  const dir = newDir()
  const quarantine = new Quarantine(dir, 'b1', log)
  quarantine.add(file(1))
  quarantine.add(file(1))
  expect(new Quarantine(dir, 'b1', log).files).toEqual([file(1)])
  expect(new Quarantine(dir, 'b2', log).files).toEqual([])
  expect(statSync(join(dir, 'quarantine.json')).mode & 0o777).toBe(0o600)
})

test('holds a bounded number of files, the youngest', () => {
  const dir = newDir()
  const quarantine = new Quarantine(dir, 'b1', log)
  for (let n = 0; n <= agentLimits.quarantinedFilesMax; n++) quarantine.add(file(n))
  const { files } = new Quarantine(dir, 'b1', log)
  expect([files.length, files[0]?.model]).toEqual([agentLimits.quarantinedFilesMax, 'm1'])
})

test('that is damaged counts as empty and is written anew', () => {
  const dir = newDir()
  for (const text of ['{', '[]', '{"engineVersion":"b1","files":[{"sha256":"x"}]}']) {
    writeFileSync(join(dir, 'quarantine.json'), text)
    const quarantine = new Quarantine(dir, 'b1', log)
    expect(quarantine.files).toEqual([])
    quarantine.add(file(1))
    expect(JSON.parse(readFileSync(join(dir, 'quarantine.json'), 'utf8'))).toMatchObject({
      files: [file(1)],
    })
  }
})

test('a directory that cannot be written does not end the agent', () => {
  const quarantine = new Quarantine('/nowhere/at/all', 'b1', log)
  quarantine.add(file(1))
  expect(quarantine.files).toEqual([file(1)])
})

const a = newInstanceId()
const b = newInstanceId()

test('a file that ends its worker twice while it loads is put there and refused in words, others are not', () => {
  const bench = new Bench()
  bench.order(loadOf(a))
  const again = bench.word(startedEngine(bench.fileReady(a)), died)
  const commands = bench.word(startedEngine(again), died)
  expect(brief(commands)).toEqual(['quarantine', 'instance failed'])
  expect(commands).toContainEqual({
    type: 'quarantine',
    file: expect.objectContaining({ sha256: 'a'.repeat(64), model: 'model-a' }),
  })
  const refused = bench.order(loadOf(b))
  expect(brief(refused)).toEqual(['instance failed'])
  expect(JSON.stringify(refused)).toContain('in quarantine on this machine: it ended its worker 2')
  expect(brief(bench.order(loadOf(newInstanceId(), 'b')))).toContain('fetch_file')
})

test('a file that ends its worker at the first jobs of two requests is put there', () => {
  const bench = new Bench()
  const engine = bench.ready(a)
  bench.order(assignOf(a, 1))
  const next = startedEngine(bench.word(engine, died))
  bench.word(next, ready)
  bench.order(assignOf(a, 2))
  expect(brief(bench.word(next, died))).toEqual([
    'quarantine',
    'failed 2 worker_died',
    'instance failed',
  ])
})

test('one request that ends the workers of several files puts none of them there', () => {
  const bench = new Bench()
  const poison = assignOf(a, 1).jobId
  for (const sha of ['a', 'b', 'c']) {
    const id = newInstanceId()
    let engine = bench.ready(id, sha)
    for (let attempt = 0; attempt < 2; attempt++) {
      bench.now += agentLimits.workerDeathWindowMs
      bench.order({ ...assignOf(id, 1, attempt), jobId: poison })
      engine = startedEngine(bench.word(engine, died))
      bench.word(engine, ready)
    }
  }
})

test('a worker that the system ends says nothing about its file', () => {
  const bench = new Bench()
  bench.order(loadOf(a))
  let engine = startedEngine(bench.fileReady(a))
  for (let i = 0; i < agentLimits.workerDeathsMax; i++)
    engine = startedEngine(bench.word(engine, { ...died, exit: 'signal SIGKILL' } as typeof died))
})
