import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'bun:test'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import type { ModelManifest, ModelSource } from '../models/manifest.ts'
import { splitSha256 } from '../models/split-gguf.ts'
import { newAgentId } from '../protocol/ids.ts'
import { agentLimits } from './agent-limits.ts'
import { createTestAuthority, type TestAuthority } from './certificates-for-tests.ts'
import { ModelFiles } from './model-files.ts'
import type { Timers } from './timers.ts'

const sizeBytes = 3 * 1024 * 1024 + 17
const content = new Uint8Array(sizeBytes).map((_, at) => (at * 31 + (at >> 8)) & 255)
const manifest: ModelManifest = {
  name: 'demo',
  sha256: new Bun.CryptoHasher('sha256').update(content).digest('hex'),
  sizeBytes,
  architecture: 'llama',
  quantisation: null,
  contextTokensTrained: 512,
  chatTemplateSha256: null,
}

/** Retries at once, stall deadlines when the test says so. */
class TestTimers implements Timers {
  readonly retriesMs: number[] = []
  stall = () => {}

  after(ms: number, callback: () => void): () => void {
    if (ms === agentLimits.downloadStallMs) {
      this.stall = callback
      return () => {}
    }
    // Who waits for another's download looks again in a turn of its own: the other needs turns as well.
    if (ms === agentLimits.downloadClaimPollMs) {
      setImmediate(callback)
      return () => {}
    }
    this.retriesMs.push(ms)
    queueMicrotask(callback)
    return () => {}
  }
}

let authority: TestAuthority
let dir = ''
let timers = new TestTimers()
let answer: (request: Request) => Response | Promise<Response> = () =>
  new Response('', { status: 500 })
let requests: Request[] = []
let server: Bun.Server<undefined>
const identity = { agentId: newAgentId(), apiKey: 'gpt_agt_key', origin: '' }

beforeAll(async () => {
  authority = await createTestAuthority()
  server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    tls: await authority.issue('127.0.0.1'),
    fetch: request => {
      requests.push(request)
      return answer(request)
    },
  })
  identity.origin = server.url.origin
})
afterAll(() => server.stop(true))
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'gpupool-models-'))
  timers = new TestTimers()
  requests = []
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

const create = (caPem = authority.caPem) =>
  new ModelFiles({ modelsDir: dir, identity, caPem, timers, log: pino({ level: 'silent' }) })
const fromPool: ModelSource[] = [{ kind: 'url', url: `/models/${manifest.sha256}` }]
const never = new AbortController().signal
const obtain = (files: ModelFiles, sources = fromPool, wanted = manifest) =>
  files.obtain({ manifest: wanted, sources }, () => {}, never)
const target = () => join(dir, `${manifest.sha256}.gguf`)
const rangeStart = (request: Request) =>
  Number(/^bytes=(\d+)-$/.exec(request.headers.get('range') ?? '')?.[1] ?? 0)
const ranged = (request: Request, bytes: Uint8Array<ArrayBuffer> = content): Response => {
  const start = rangeStart(request)
  if (start === 0) return new Response(bytes)
  const headers = { 'content-range': `bytes ${start}-${bytes.length - 1}/${bytes.length}` }
  return new Response(bytes.subarray(start), { status: 206, headers })
}

/** A body of unknown length that ends early, as when the line is cut. */
const cutAfter = (bytes: number): Response =>
  new Response(
    new ReadableStream({
      start(controller) {
        controller.enqueue(content.subarray(0, bytes))
        controller.close()
      },
    }),
  )

describe('a file on this machine', () => {
  test('is used where it lies when its hash is right, and nothing is downloaded', async () => {
    const path = join(dir, 'elsewhere.gguf')
    writeFileSync(path, content)
    expect(await obtain(create(), [{ kind: 'path', path }, ...fromPool])).toEqual({ path })
    expect(requests).toHaveLength(0)
  })

  test('with another content is not used', async () => {
    const path = join(dir, 'elsewhere.gguf')
    writeFileSync(path, content.toReversed())
    expect(await obtain(create(), [{ kind: 'path', path }])).toEqual({
      code: 'model_file_invalid',
      message: `${path} is another file: its SHA-256 differs`,
    })
    expect(await obtain(create(), [{ kind: 'path', path: '/dev/zero' }])).toMatchObject({
      code: 'model_file_invalid',
    })
  })

  test('is hashed once, also after a restart, and again when it has changed', async () => {
    const path = join(dir, 'elsewhere.gguf')
    const sources: ModelSource[] = [{ kind: 'path', path }]
    writeFileSync(path, content)
    expect(await obtain(create(), sources)).toEqual({ path })
    const rememberedPath = join(dir, 'hashes.json')
    expect(JSON.parse(readFileSync(rememberedPath, 'utf8'))[path].sha256).toBe(manifest.sha256)
    // What is remembered is believed: a wrong note for the same size and time would be, too.
    const wrong = readFileSync(rememberedPath, 'utf8').replace(manifest.sha256, '0'.repeat(64))
    writeFileSync(rememberedPath, wrong)
    expect(await obtain(create(), sources)).toMatchObject({ code: 'model_file_invalid' })
    writeFileSync(path, content)
    expect(await obtain(create(), sources)).toEqual({ path })
  })
})

describe('a download', () => {
  test('from the pool carries the key, tells its progress and ends with a verified file', async () => {
    answer = ranged
    const progress: number[] = []
    const found = await create().obtain(
      { manifest, sources: fromPool },
      ratio => progress.push(ratio),
      never,
    )
    expect(found).toEqual({ path: target() })
    expect(readFileSync(target()).equals(content)).toBe(true)
    expect(progress.at(-1)).toBe(1)
    expect(requests[0]?.headers.get('authorization')).toBe('Bearer gpt_agt_key')
    expect(requests[0]?.headers.get('x-gpupool-agent')).toBe(identity.agentId)
    expect(readdirSync(dir)).toEqual([`${manifest.sha256}.gguf`])
    expect(await obtain(create())).toEqual({ path: target() })
    expect(requests).toHaveLength(1)
  })

  test('goes on where the line was cut', async () => {
    answer = request => (rangeStart(request) === 0 ? cutAfter(2_000_000) : ranged(request))
    expect(await obtain(create())).toEqual({ path: target() })
    expect(readFileSync(target()).equals(content)).toBe(true)
    expect(requests.map(rangeStart)).toEqual([0, 2_000_000])
    expect(timers.retriesMs).toEqual([agentLimits.downloadRetryMinMs])
  })

  test('goes on where an earlier process stopped', async () => {
    writeFileSync(`${target()}.part`, content.subarray(0, 1_000_000))
    answer = ranged
    expect(await obtain(create())).toEqual({ path: target() })
    expect(requests.map(rangeStart)).toEqual([1_000_000])
  })

  test('starts over at a server that knows no ranges', async () => {
    writeFileSync(`${target()}.part`, content.subarray(0, 1_000_000))
    answer = () => new Response(content)
    expect(await obtain(create())).toEqual({ path: target() })
    expect(readFileSync(target()).equals(content)).toBe(true)
  })

  test('that goes on from wrong bytes is made once more from the start', async () => {
    writeFileSync(`${target()}.part`, content.subarray(7, 1_000_000))
    answer = ranged
    expect(await obtain(create())).toEqual({ path: target() })
    expect(requests.map(rangeStart)).toEqual([999_993, 0])
  })

  test('does not go on in a file that the server has changed meanwhile', async () => {
    answer = request => {
      if (requests.length === 1)
        return new Response(cutAfter(500_000).body, { headers: { etag: '"old"' } })
      // As RFC 9110 says: another version than the one in If-Range is sent whole.
      const isOld = request.headers.get('if-range') === '"old"'
      return isOld ? new Response(content) : ranged(request, content.toReversed())
    }
    expect(await obtain(create())).toEqual({ path: target() })
    expect(requests).toHaveLength(2)
  })

  test('from a server that begins anew each time is given up all the same', async () => {
    answer = () => cutAfter(2_000_000)
    expect(await obtain(create())).toMatchObject({ code: 'model_load_failed' })
    expect(requests).toHaveLength(agentLimits.downloadAttemptsMax)
  })

  test('of two agents on one folder is one', async () => {
    answer = ranged
    const found = await Promise.all([obtain(create()), obtain(create())])
    expect(found).toEqual([{ path: target() }, { path: target() }])
    expect(requests).toHaveLength(1)
    expect(readdirSync(dir)).not.toContain(`${manifest.sha256}.gguf.lock`)
  })

  test('of wrong bytes is deleted and called invalid', async () => {
    answer = request => ranged(request, content.toReversed())
    expect(await obtain(create())).toMatchObject({ code: 'model_file_invalid' })
    expect(readdirSync(dir)).toEqual([])
  })

  test('of the wrong length is called invalid before it begins', async () => {
    answer = () => new Response('short')
    expect(await obtain(create())).toEqual({
      code: 'model_file_invalid',
      message: `the source has 5 bytes, the catalogue says ${sizeBytes}`,
    })
  })

  test('that never succeeds is given up after a bounded number of attempts, with growing pauses', async () => {
    answer = () => new Response('', { status: 503 })
    expect(await obtain(create())).toEqual({
      code: 'model_load_failed',
      message: 'the download failed 6 times, last: the source answers 503',
    })
    expect(requests).toHaveLength(agentLimits.downloadAttemptsMax)
    expect(timers.retriesMs).toEqual([1_000, 2_000, 4_000, 8_000, 16_000])
  })

  test('that the pool refuses is not tried again', async () => {
    answer = () => new Response('', { status: 403 })
    expect(await obtain(create())).toMatchObject({ message: 'the source answers 403' })
    expect(requests).toHaveLength(1)
  })

  test('that stalls is cut and tried again', async () => {
    answer = request => {
      if (rangeStart(request) > 0) return ranged(request)
      return new Response(
        new ReadableStream({
          start(controller) {
            controller.enqueue(content.subarray(0, 100_000))
          },
        }),
      )
    }
    const found = create().obtain(
      { manifest, sources: fromPool },
      ratio => {
        if (ratio < 1 && requests.length === 1) queueMicrotask(() => timers.stall())
      },
      never,
    )
    expect(await found).toEqual({ path: target() })
    expect(requests.length).toBeGreaterThan(1)
  })

  test('that cannot fit on the disk says so before it begins', async () => {
    const huge = { ...manifest, sizeBytes: 1e17 }
    expect(await obtain(create(), fromPool, huge)).toMatchObject({
      code: 'model_load_failed',
      message: expect.stringMatching(
        /^the disk is full: .* GB are needed in .*; free some space there/,
      ),
    })
    expect(requests).toHaveLength(0)
  })

  test("is refused from a server that the pool's authority does not vouch for", async () => {
    answer = ranged
    const foreign = await createTestAuthority()
    expect(await obtain(create(foreign.caPem))).toMatchObject({ code: 'model_load_failed' })
    expect(requests).toHaveLength(0)
  })

  test('from elsewhere is https only and trusts the system, not the pool', async () => {
    answer = ranged
    const files = create()
    expect(await obtain(files, [{ kind: 'url', url: 'http://127.0.0.1:1/x' }])).toMatchObject({
      message: 'models are fetched with https only',
    })
    const elsewhere = `https://localhost:${server.port}/x`
    expect(await obtain(files, [{ kind: 'url', url: elsewhere }])).toMatchObject({
      code: 'model_load_failed',
    })
    expect(requests).toHaveLength(0)
  })

  test('is one for all who wait, and goes on when only some of them leave', async () => {
    const gate = Promise.withResolvers<void>()
    answer = async request => {
      await gate.promise
      return ranged(request)
    }
    const files = create()
    const first = new AbortController()
    const a = files.obtain({ manifest, sources: fromPool }, () => {}, first.signal)
    const b = obtain(files)
    first.abort()
    gate.resolve()
    expect(await Promise.all([a, b])).toEqual([{ path: target() }, { path: target() }])
    expect(requests).toHaveLength(1)
  })

  test('stops when nobody waits any more, and a later caller gets it whole', async () => {
    const reached = Promise.withResolvers<void>()
    answer = request => {
      if (rangeStart(request) > 0 || requests.length > 1) return ranged(request)
      reached.resolve()
      return new Promise<Response>(() => {})
    }
    const files = create()
    const only = new AbortController()
    const left = files.obtain({ manifest, sources: fromPool }, () => {}, only.signal)
    await reached.promise
    only.abort()
    const again = obtain(files)
    expect(await left).toMatchObject({ code: 'cancelled' })
    expect(await again).toEqual({ path: target() })
    expect(existsSync(`${target()}.part`)).toBe(false)
  })
})

describe('a split model', () => {
  const cut = 1_000_000
  const pieces = [content.subarray(0, cut), content.subarray(cut)]
  const parts = pieces.map(piece => ({
    sha256: new Bun.CryptoHasher('sha256').update(piece).digest('hex'),
    sizeBytes: piece.length,
  }))
  const split: ModelManifest = { ...manifest, sha256: splitSha256(parts), parts }
  const sources: ModelSource[] = [{ kind: 'url', url: `/models/${split.sha256}` }]
  const serve = (request: Request): Response => {
    const at = parts.findIndex(({ sha256 }) => request.url.endsWith(`/models/${sha256}`))
    const piece = pieces[at]
    return piece === undefined ? new Response('', { status: 404 }) : ranged(request, piece)
  }

  test('lies in one folder, and is loaded by its first part', async () => {
    answer = serve
    const progress: number[] = []
    const wanted = { manifest: split, sources }
    const found = await create().obtain(wanted, ratio => progress.push(ratio), never)
    const folder = join(dir, `${split.sha256}.split`)
    expect(found).toEqual({ path: join(folder, 'model-00001-of-00002.gguf') })
    const names = ['model-00001-of-00002.gguf', 'model-00002-of-00002.gguf']
    expect(readdirSync(folder).toSorted()).toEqual(names)
    expect(Buffer.concat(names.map(name => readFileSync(join(folder, name))))).toEqual(
      Buffer.from(content),
    )
    expect(progress.at(-1)).toBe(1)
    expect(progress).toEqual(progress.toSorted((a, b) => a - b))
    expect(await obtain(create(), sources, split)).toEqual(found)
    expect(requests).toHaveLength(2)
  })

  test('is not loaded while one part is wrong', async () => {
    answer = request =>
      request.url.endsWith(parts[1]?.sha256 ?? '')
        ? ranged(request, content.slice(0, sizeBytes - cut))
        : serve(request)
    expect(await obtain(create(), sources, split)).toMatchObject({ code: 'model_file_invalid' })
    answer = serve
    expect(await obtain(create(), sources, split)).toHaveProperty('path')
  })

  test('is used where it lies, only with all parts', async () => {
    const path = join(dir, 'big-00001-of-00002.gguf')
    writeFileSync(path, content.subarray(0, cut))
    const here: ModelSource[] = [{ kind: 'path', path }]
    expect(await obtain(create(), here, split)).toHaveProperty('code')
    writeFileSync(join(dir, 'big-00002-of-00002.gguf'), content.subarray(cut))
    expect(await obtain(create(), here, split)).toEqual({ path })
  })
})
