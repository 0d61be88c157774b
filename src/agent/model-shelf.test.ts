import { afterEach, beforeEach, expect, test } from 'bun:test'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { ModelShelf } from './model-shelf.ts'

let dir = ''
let now = 1_000
let inUse = new Set<string>()
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'gpupool-shelf-'))
  now = 1_000
  inUse = new Set()
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

const shelfOf = (budgetBytes: number | null) =>
  new ModelShelf({
    modelsDir: dir,
    budgetBytes,
    inUse: () => inUse,
    wallClock: { now: () => now },
    log: pino({ level: 'silent' }),
  })
const sha = (letter: string) => letter.repeat(64)
const put = (shelf: ModelShelf, letter: string, fetched: boolean) => {
  writeFileSync(join(dir, `${sha(letter)}.gguf`), new Uint8Array(100))
  now++
  shelf.used({ sha256: sha(letter), name: `model-${letter}` }, fetched)
}
const kept = () =>
  readdirSync(dir)
    .filter(name => name.endsWith('.gguf'))
    .map(name => name[0])
    .toSorted()
    .join('')

test('the longest unused fetched file makes way, also after a restart; others’ and used ones stay', async () => {
  const shelf = shelfOf(450)
  put(shelf, 'a', false)
  put(shelf, 'b', true)
  put(shelf, 'c', true)
  put(shelf, 'd', true)
  now++
  shelf.used({ sha256: sha('b'), name: 'model-b' })
  inUse = new Set([sha('c')])
  expect(await shelfOf(450).makeRoom({ sha256: sha('e'), sizeBytes: 100 })).toBeUndefined()
  expect(kept()).toBe('abc')
  expect(await shelf.makeRoom({ sha256: sha('e'), sizeBytes: 250 })).toBeUndefined()
  expect(kept()).toBe('ac')
})

test('where nothing helps, nothing is removed, and the words say what to do', async () => {
  const shelf = shelfOf(450)
  put(shelf, 'a', true)
  put(shelf, 'b', true)
  expect(await shelf.makeRoom({ sha256: sha('e'), sizeBytes: 451 })).toMatchObject({
    code: 'model_load_failed',
    message: expect.stringMatching(/^no room .* set GPUPOOL_AGENT_DISK_GB/),
  })
  expect(kept()).toBe('ab')
})

test('what a download of a forgotten model left makes way, except while another agent fetches it', async () => {
  const shelf = shelfOf(100)
  writeFileSync(join(dir, `${sha('a')}.gguf.part`), 'xxxx')
  writeFileSync(join(dir, `${sha('b')}.gguf.part`), 'xxxx')
  writeFileSync(join(dir, `${sha('b')}.gguf.lock`), '')
  expect(await shelf.makeRoom({ sha256: sha('e'), sizeBytes: 96 })).toBeUndefined()
  expect(readdirSync(dir).filter(name => name.endsWith('.part'))).toEqual([`${sha('b')}.gguf.part`])
})

test('lists names and sizes, and neither links nor files of other names', async () => {
  const shelf = shelfOf(null)
  put(shelf, 'a', true)
  writeFileSync(join(dir, 'my.gguf'), 'x')
  symlinkSync(join(dir, 'my.gguf'), join(dir, `${sha('f')}.gguf`))
  expect(await shelf.list()).toMatchObject([
    { name: 'model-a', sha256: sha('a'), sizeBytes: 100, own: true, whole: true, inUse: false },
  ])
})

test('the parts of a split model are one on the list, and go together', async () => {
  const shelf = shelfOf(100)
  const folder = join(dir, `${sha('a')}.split`)
  mkdirSync(folder)
  for (const name of ['1', '2']) writeFileSync(join(folder, name), 'xxxx')
  shelf.used({ sha256: sha('a'), name: 'big' }, true)
  expect(await shelf.list()).toMatchObject([{ name: 'big', sizeBytes: 8, whole: true, own: true }])
  expect(await shelf.makeRoom({ sha256: sha('e'), sizeBytes: 100 })).toBeUndefined()
  expect(existsSync(folder)).toBe(false)
})
