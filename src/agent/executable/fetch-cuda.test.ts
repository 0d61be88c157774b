import { afterEach, beforeEach, expect, test } from 'bun:test'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { createTestAuthority, type TestAuthority } from '../certificates-for-tests.ts'
import { processTimers } from '../timers.ts'
import type { CudaPin } from './build-facts.ts'
import { openCudaPack } from './fetch-cuda.ts'
import { PackCache } from './pack-cache.ts'
import { smallPack } from './packs-for-tests.ts'

const fileName = 'runtime-linux-x64-cuda-3.22.1.tar.zst'
const library = 'node_modules/@node-llama-cpp/linux-x64-cuda/lib.so'

let dir: string
let authority: TestAuthority
let pool: Bun.Server<undefined>
let archive: Uint8Array
let pin: CudaPin
/** `Range` of every request for the archive. */
const ranges: (string | null)[] = []
let offered: Uint8Array | null
const lines: string[] = []

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'gpupool-cuda-'))
  const pack = await smallPack({ [library]: 'cuda'.repeat(5_000), 'manifest-of-others': 'x' })
  archive = pack.archive
  offered = archive
  pin = {
    fileName,
    sizeBytes: archive.length,
    sha256: new Bun.CryptoHasher('sha256').update(archive).digest('hex'),
    manifestSha256: pack.manifestSha256,
  }
  authority = await createTestAuthority()
  pool = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    tls: await authority.issue('127.0.0.1'),
    fetch: request => {
      if (offered === null || new URL(request.url).pathname !== `/download/${fileName}`)
        return new Response('', { status: 404 })
      const range = request.headers.get('range')
      ranges.push(range)
      const start = Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0)
      const headers = { 'content-range': `bytes ${start}-${offered.length - 1}/${offered.length}` }
      return start === 0
        ? new Response(offered.slice())
        : new Response(offered.slice(start), { status: 206, headers })
    },
  })
})
afterEach(async () => {
  await pool.stop(true)
  rmSync(dir, { recursive: true, force: true })
  ranges.length = 0
  lines.length = 0
})

const open = (signal = new AbortController().signal) => {
  const log = pino({ base: null }, { write: line => void lines.push(line) })
  const cache = new PackCache(dir, processTimers, log)
  const { caPem } = authority
  return openCudaPack(pin, {
    cache,
    cacheDir: dir,
    origin: pool.url.origin,
    caPem,
    timers: processTimers,
    log,
    signal,
  })
}
const partPath = () => join(dir, `${pin.sha256.slice(0, 16)}.part`)

test('the libraries are fetched once, with progress, and unpacked', async () => {
  const first = await open()
  if ('problem' in first) throw new Error(first.problem)
  expect(readFileSync(join(first.dir, library), 'utf8')).toStartWith('cudacuda')
  expect(lines.join('')).toContain('100 %')
  expect(existsSync(partPath())).toBe(false)
  expect(await open()).toMatchObject({ outcome: 'ready' })
  expect(ranges).toEqual([null])
})

test('a fetch that was cut off goes on where it stopped', async () => {
  const cut = Math.floor(archive.length / 2)
  writeFileSync(partPath(), archive.subarray(0, cut))
  expect(await open()).toMatchObject({ outcome: 'unpacked' })
  expect(ranges).toEqual([`bytes=${cut}-`])
})

test('two agents fetch once', async () => {
  const both = await Promise.all([open(), open()])
  expect(both.map(each => ('outcome' in each ? each.outcome : each.problem)).toSorted()).toEqual([
    'ready',
    'unpacked',
  ])
  expect(ranges).toHaveLength(1)
})

test('other bytes than the pinned ones are thrown away and not unpacked', async () => {
  const other = new Uint8Array(archive)
  other[20] = (other[20] ?? 0) ^ 1
  offered = other
  expect(await open()).toEqual({ problem: expect.stringContaining('other CUDA libraries') })
  expect(existsSync(partPath())).toBe(false)
  offered = archive
  expect(await open()).toMatchObject({ outcome: 'unpacked' })
})

test('a server without them is a reason, in words', async () => {
  offered = null
  expect(await open()).toEqual({ problem: expect.stringContaining('404') })
})

test('whoever stops the agent does not wait for the fetch', async () => {
  const stop = new AbortController()
  stop.abort()
  expect(await open(stop.signal)).toEqual({ problem: expect.stringContaining('stopped') })
})
