import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import type { Pack } from '../../../script/build-agent/make-pack.ts'
import { processTimers } from '../timers.ts'
import { PackCache, usableCacheDir, type OpenPack } from './pack-cache.ts'
import { inPieces, smallPack } from './packs-for-tests.ts'

let dir: string
let pack: Pack
const opened: OpenPack[] = []
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'gpupool-cache-'))
  pack = await smallPack({ 'worker/main.js': 'work()', 'node_modules/a/empty': '' })
})
afterEach(() => {
  for (const { use } of opened.splice(0)) use.release()
  rmSync(dir, { recursive: true, force: true })
})

const cache = () => new PackCache(dir, processTimers, pino({ level: 'silent' }))
const request = (from: Pack, archive = from.archive) => ({
  kind: 'runtime' as const,
  manifestSha256: from.manifestSha256,
  archive: async () => inPieces(archive),
})

async function open(from: Pack = pack, archive?: Uint8Array): Promise<OpenPack> {
  const outcome = await cache().open(request(from, archive))
  if ('problem' in outcome) throw new Error(outcome.problem)
  opened.push(outcome)
  return outcome
}
const packs = () => readdirSync(dir).filter(name => !name.includes('.lock'))
const worker = (folder: string) => join(folder, 'worker', 'main.js')

test('a pack is unpacked once and found again', async () => {
  const first = await open()
  expect(first.outcome).toBe('unpacked')
  expect(readFileSync(worker(first.dir), 'utf8')).toBe('work()')
  expect(await open()).toMatchObject({ outcome: 'ready', dir: first.dir })
  expect(packs()).toHaveLength(1)
})

describe('a damaged folder is repaired:', () => {
  test.each<[string, (folder: string) => void]>([
    ['a file is cut off', folder => truncateSync(worker(folder), 2)],
    ['a file has other bytes', folder => writeFileSync(worker(folder), 'woRk()')],
    ['a file is gone', folder => rmSync(worker(folder))],
    ['the manifest is gone', folder => rmSync(join(folder, 'manifest.json'))],
    ['the manifest is another one', folder => writeFileSync(join(folder, 'manifest.json'), '{}')],
    [
      'it is empty',
      folder => {
        rmSync(folder, { recursive: true })
        mkdirSync(folder)
      },
    ],
  ])('%s', async (_, damage) => {
    const { dir: folder } = await open()
    damage(folder)
    expect((await open()).outcome).toBe('repaired')
    expect(readFileSync(worker(folder), 'utf8')).toBe('work()')
    expect(packs()).toHaveLength(1)
  })
})

test('many that start at once unpack once', async () => {
  const all = await Promise.all(Array.from({ length: 6 }, () => open()))
  expect(all.filter(({ outcome }) => outcome === 'unpacked')).toHaveLength(1)
  expect(new Set(all.map(each => each.dir)).size).toBe(1)
})

test('what a killed agent left half-unpacked is never used, and goes', async () => {
  mkdirSync(join(dir, 'unfinished-abc', 'worker'), { recursive: true })
  await open()
  expect(packs()).toHaveLength(1)
})

test.each<[string, (archive: Uint8Array) => Uint8Array]>([
  ['cut off', archive => archive.subarray(0, archive.length - 20)],
  ['not an archive', () => new Uint8Array(100)],
])('an archive that is %s makes a problem, not a pack', async (_, spoil) => {
  const outcome = await cache().open(request(pack, spoil(pack.archive)))
  expect(outcome).toEqual({ problem: expect.stringContaining('cannot be prepared') })
  expect(packs()).toEqual([])
})

test('an archive with other files than the pinned ones is refused', async () => {
  const other = await smallPack({ 'worker/main.js': 'evil()' })
  const outcome = await cache().open(request(pack, other.archive))
  expect(outcome).toEqual({ problem: expect.stringContaining('not those') })
  expect(packs()).toEqual([])
})

test('cleaning removes other versions that nobody uses', async () => {
  const versions = await Promise.all(['1', '2', '3'].map(text => smallPack({ version: text })))
  const [old, used, own] = [
    await open(versions[0]),
    await open(versions[1]),
    await open(versions[2]),
  ]
  old.use.release()
  await cache().clean([{ kind: 'runtime', manifestSha256: versions[2]?.manifestSha256 ?? '' }])
  expect(existsSync(old.dir)).toBe(false)
  expect(existsSync(used.dir)).toBe(true)
  expect(existsSync(own.dir)).toBe(true)
})

describe('the place of the cache', () => {
  test('is the first that can be written', async () => {
    writeFileSync(join(dir, 'file'), '')
    const good = join(dir, 'new', 'deep')
    expect(await usableCacheDir([join(dir, 'file', 'x'), good])).toEqual({ dir: good })
    expect(readdirSync(good).filter(name => !/lock|writable/.test(name))).toEqual([])
  })

  test('is missing only with a word about each', async () => {
    writeFileSync(join(dir, 'file'), '')
    chmodSync(join(dir, 'file'), 0o400)
    expect(await usableCacheDir([join(dir, 'file', 'x')])).toEqual({
      problem: expect.stringMatching(/GPUPOOL_AGENT_CACHE_DIR[^]*file\/x/),
    })
  })
})
