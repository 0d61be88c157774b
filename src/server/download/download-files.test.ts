import { afterEach, beforeEach, expect, test } from 'bun:test'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { answerDownload, answerDownloadList } from './answer-download.ts'
import { DownloadFiles } from './download-files.ts'

let root: string
let files: DownloadFiles
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'gpupool-download-'))
  for (const name of ['first', 'second']) mkdirSync(join(root, name))
  files = new DownloadFiles(['first', 'second', 'missing'].map(name => join(root, name)))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

const put = (folder: string, name: string, text: string) =>
  writeFileSync(join(root, folder, name), text)
const sha256 = (text: string) => new Bun.CryptoHasher('sha256').update(text).digest('hex')
const get = (name: string, headers: Record<string, string> = {}) =>
  answerDownload(files, new Request('https://pool/', { headers }), name)

test('executables and CUDA packs are listed with size and SHA-256, nothing else is', async () => {
  put('first', 'gpupool-agent-linux-x64', 'elf')
  put('first', 'gpupool-agent-windows-x64.exe', 'pe32+')
  put('second', 'runtime-linux-x64-cuda-3.22.1.tar.zst', 'zstd')
  put('first', 'admin.key', 'secret')
  put('second', '.gpupool-agent-linux-x64', 'half')
  expect(await (await answerDownloadList(files)).json()).toEqual({
    files: [
      ['gpupool-agent-linux-x64', 'linux-x64', 'agent', 'elf'],
      ['gpupool-agent-windows-x64.exe', 'windows-x64', 'agent', 'pe32+'],
      ['runtime-linux-x64-cuda-3.22.1.tar.zst', 'linux-x64', 'cuda', 'zstd'],
    ].map(([name = '', target = '', kind = '', text = '']) => ({
      name,
      target,
      kind,
      sizeBytes: text.length,
      sha256: sha256(text),
    })),
  })
})

test('the earlier folder counts, and a new build is offered at once', async () => {
  put('second', 'gpupool-agent-linux-x64', 'old')
  expect((await files.list())[0]?.sha256).toBe(sha256('old'))
  put('first', 'gpupool-agent-linux-x64', 'newer')
  expect((await files.list())[0]?.sha256).toBe(sha256('newer'))
  put('first', 'gpupool-agent-linux-x64', 'newest')
  expect((await files.list())[0]?.sha256).toBe(sha256('newest'))
  expect(await (await get('gpupool-agent-linux-x64')).text()).toBe('newest')
})

test('a download goes on where it stopped, unless the file is another one by now', async () => {
  const name = 'gpupool-agent-linux-arm64'
  put('first', name, '0123456789')
  const whole = await get(name)
  const etag = whole.headers.get('etag') ?? ''
  expect(etag).toBe(`"${sha256('0123456789')}"`)
  const rest = await get(name, { range: 'bytes=4-', 'if-range': etag })
  expect(rest.status).toBe(206)
  expect(rest.headers.get('content-range')).toBe('bytes 4-9/10')
  expect(await rest.text()).toBe('456789')
  expect((await get(name, { range: 'bytes=4-', 'if-range': '"other"' })).status).toBe(200)
  expect((await get(name, { range: 'bytes=10-' })).status).toBe(416)
})

test.each(['admin.key', '../first/admin.key', 'gpupool-agent-linux-x64', ''])(
  '%p is not to be had',
  async name => {
    put('first', 'admin.key', 'secret')
    expect((await get(name)).status).toBe(404)
  },
)
