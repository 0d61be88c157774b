import { afterEach, beforeEach, expect, test } from 'bun:test'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { localControlPath, serveLocalControl, type AgentStatus } from '../local-control.ts'
import { ModelShelf } from '../model-shelf.ts'
import { modelsDirOf } from '../state-dir.ts'
import { answerShelf } from './shelf-request.ts'

const main = join(import.meta.dir, '../main.ts')
const sha = (letter: string) => letter.repeat(64)

let dir = ''
let inUse = new Set<string>()
let shelf: ModelShelf
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'gpupool-models-command-'))
  mkdirSync(modelsDirOf(dir))
  inUse = new Set()
  shelf = new ModelShelf({
    modelsDir: modelsDirOf(dir),
    budgetBytes: null,
    inUse: () => inUse,
    wallClock: { now: () => 0 },
    log: pino({ level: 'silent' }),
  })
  put('a', 'llama')
  put('b', 'qwen')
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

const pathOf = (letter: string) => join(modelsDirOf(dir), `${sha(letter)}.gguf`)
function put(letter: string, name: string): void {
  writeFileSync(pathOf(letter), 'x'.repeat(2048))
  shelf.used({ sha256: sha(letter), name }, true)
}

async function models(...args: string[]) {
  const child = Bun.spawn([process.execPath, main, 'models', ...args], {
    env: { ...process.env, GPUPOOL_AGENT_DIR: dir },
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const [out, err, code] = await Promise.all([
    child.stdout.text(),
    child.stderr.text(),
    child.exited,
  ])
  return { out, err, code }
}

test('without an agent: lists names, sizes and hashes, and removes by name or hash', async () => {
  const { out, code } = await models()
  expect(code).toBe(0)
  expect(out).toContain('llama  aaaaaaaaaaaa  2 KB  last used 1970-01-01 00:00\n')
  expect(await models('rm', 'llama')).toMatchObject({
    code: 0,
    out: 'removed llama aaaaaaaaaaaa\n',
  })
  expect(await models('rm', 'bbbbbbb')).toMatchObject({ code: 0 })
  expect(existsSync(pathOf('a')) || existsSync(pathOf('b'))).toBe(false)
  expect(await models('rm', 'llama')).toMatchObject({
    code: 1,
    err: expect.stringContaining('there is no model "llama" here'),
  })
})

test('with an agent: it says what is in use, and a model in use is not removed', async () => {
  const status = (): AgentStatus => {
    throw new Error('nobody asks for it')
  }
  const more = (line: string) => answerShelf(shelf, line)
  const control = await serveLocalControl(localControlPath(dir), status, more)
  try {
    inUse.add(sha('a'))
    const listed = JSON.parse((await models('--json')).out)
    expect(listed.models).toMatchObject([
      { name: 'llama', inUse: true },
      { name: 'qwen', inUse: false },
    ])
    expect(await models('rm', 'llama')).toMatchObject({
      code: 1,
      err: expect.stringContaining('is in use'),
    })
    expect(existsSync(pathOf('a'))).toBe(true)
    expect(await models('rm', 'qwen')).toMatchObject({ code: 0 })
    expect(existsSync(pathOf('b'))).toBe(false)
  } finally {
    control.close()
  }
})

test('a hash that begins two files removes neither', async () => {
  writeFileSync(join(modelsDirOf(dir), `${'a'.repeat(63)}b.gguf`), 'x')
  expect(await models('rm', 'aaaaaaa')).toMatchObject({
    code: 1,
    err: expect.stringContaining('more than one file'),
  })
  expect(existsSync(pathOf('a'))).toBe(true)
})
