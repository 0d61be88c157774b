import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { model } from '../../../test/support/store-fixtures.ts'
import { isFailure, type ApiFailure } from '../http-error.ts'
import { ModelLibrary, type ModelFile, type ModelLibraryDeps } from './model-library.ts'

let dataDir = ''
let server: ReturnType<typeof Bun.serve>
let answer: () => Response
const content = new Uint8Array(300_000).fill(7)
const sha256 = createHash('sha256').update(content).digest('hex')

/** Takes any file for a model, except one that begins with "bad". */
const describeModel: ModelLibraryDeps['describeModel'] = async path => {
  const bytes = await readFile(path)
  if (bytes.toString().startsWith('bad'))
    return { code: 'model_file_invalid', message: `${path} is no GGUF file` }
  return { ...model('x').manifest, sha256: createHash('sha256').update(bytes).digest('hex') }
}

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'gpupool-library-'))
  answer = () => new Response(content)
  server = Bun.serve({ hostname: '127.0.0.1', port: 0, fetch: () => answer() })
})
afterEach(async () => {
  await server.stop(true)
  await rm(dataDir, { recursive: true })
})

const library = (fetchFile: ModelLibraryDeps['fetch'] = fetch) =>
  new ModelLibrary({ dataDir, describeModel, fetch: fetchFile })
const kept = () => readdir(join(dataDir, 'models'))
const never = new AbortController().signal
const url = () => server.url.href
const download = (from = library()) => from.fromUrl(url(), never)
const failure = (result: ModelFile | ApiFailure): ApiFailure => {
  if (!isFailure(result)) throw new Error('accepted')
  return result
}

test('a download is kept once, under the name of its content', async () => {
  const path = join(dataDir, 'models', `${sha256}.gguf`)
  expect(await download()).toMatchObject({ path, description: { sha256 } })
  expect(await download()).toMatchObject({ path })
  expect(await kept()).toEqual([`${sha256}.gguf`])
  expect(new Uint8Array(await readFile(path))).toEqual(content)
})

describe('nothing is left of a download that', () => {
  const refused = async (message: string) => {
    expect(failure(await download())).toMatchObject({ code: 'invalid_request', param: 'source' })
    expect(failure(await download()).message).toContain(message)
    expect(await kept()).toEqual([])
  }

  test('the source refuses', async () => {
    answer = () => new Response('no', { status: 404 })
    await refused('404')
  })

  test('is no model; the message does not name our temporary file', async () => {
    answer = () => new Response('bad')
    await refused('the downloaded file is no GGUF file')
  })

  test('ends before its announced length', async () => {
    const short = () => new Response('abc', { headers: { 'content-length': '10' } })
    const result = await library(() => Promise.resolve(short())).fromUrl(url(), never)
    expect(failure(result).message).toContain('broke off after 3 of 10 bytes')
    expect(await kept()).toEqual([])
  })

  test('announces more than any model has', async () => {
    const huge = () => new Response('abc', { headers: { 'content-length': String(2 ** 50) } })
    const result = await library(() => Promise.resolve(huge())).fromUrl(url(), never)
    expect(failure(result).message).toContain('larger than')
    expect(await kept()).toEqual([])
  })

  test('reaches no server', async () => {
    const { href } = server.url
    await server.stop(true)
    expect(failure(await library().fromUrl(href, never))).toMatchObject({ code: 'invalid_request' })
    expect(await kept()).toEqual([])
  })

  test('its operator breaks off', async () => {
    const abort = new AbortController()
    const begun = Promise.withResolvers<void>()
    answer = () =>
      new Response(
        new ReadableStream({
          pull(controller) {
            controller.enqueue(content)
            begun.resolve()
            return new Promise(() => {})
          },
        }),
      )
    const result = library().fromUrl(url(), abort.signal)
    await begun.promise
    abort.abort()
    expect(failure(await result).code).toBe('cancelled')
    expect(await kept()).toEqual([])
  })
})

test('what a killed server left unfinished is removed before the next download', async () => {
  await mkdir(join(dataDir, 'models'))
  await writeFile(join(dataDir, 'models', 'old.part'), 'x')
  await download()
  expect(await kept()).toEqual([`${sha256}.gguf`])
})

test('downloads at the same time are few; one more is told to wait', async () => {
  const gate = Promise.withResolvers<void>()
  const slow = library(() => gate.promise.then(() => new Response('bad')))
  const running = [slow.fromUrl(url(), never), slow.fromUrl(url(), never)]
  expect(failure(await slow.fromUrl(url(), never)).code).toBe('queue_full')
  gate.resolve()
  await Promise.all(running)
  expect(failure(await slow.fromUrl(url(), never)).code).not.toBe('queue_full')
})

test('discarding deletes a downloaded file and never one of the operator’s', async () => {
  const own = join(dataDir, 'own.gguf')
  await writeFile(own, 'x')
  const books = library()
  const file = await books.fromUrl(url(), never)
  if (isFailure(file)) throw new Error(file.message)
  await books.discard(own)
  await books.discard(join(dataDir, 'models', '..', 'own.gguf'))
  await books.discard(file.path)
  expect(await kept()).toEqual([])
  expect(await Bun.file(own).exists()).toBe(true)
})
