import { afterAll, beforeAll, expect, test } from 'bun:test'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Cluster } from './support/cluster.ts'

const file = 'gpupool-agent-linux-x64'
const content = '#!/bin/sh\necho agent\n'
const sha256 = new Bun.CryptoHasher('sha256').update(content).digest('hex')

let cluster: Cluster
let folder: string
let link: string
let install: { linux: string | null; macos: string | null }

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'gpupool-offer-'))
  writeFileSync(join(folder, file), content)
  cluster = await Cluster.start({ GPUPOOL_DOWNLOAD_DIR: folder })
  type Answer = { link: string; install: typeof install }
  ;({ link, install } = await cluster.admin<Answer>('POST', '/admin/join-links', {}))
})
afterAll(async () => {
  await cluster.close()
  rmSync(folder, { recursive: true, force: true })
})

/** From the enrolment listener, with the pool's own authority and no key. */
async function fromPool(path: string, headers: Record<string, string> = {}): Promise<Response> {
  const { origin } = new URL(link)
  const ca = await (await fetch(`${origin}/ca`, { tls: { rejectUnauthorized: false } })).text()
  return await fetch(`${origin}${path}`, { headers, tls: { ca } })
}

test('both ports list the executables and hand them out, whole and from the middle', async () => {
  const listed = await (await fromPool('/download/')).json()
  expect(listed).toEqual({
    files: [{ name: file, target: 'linux-x64', kind: 'agent', sizeBytes: content.length, sha256 }],
  })
  const api = (path: string) => fetch(`${cluster.ready.apiUrl}${path}`)
  expect(await (await api('/download/')).json()).toEqual(listed)
  expect(await (await api(`/download/${file}`)).text()).toBe(content)
  expect(await (await fromPool(`/download/${file}`)).text()).toBe(content)
  const rest = await fromPool(`/download/${file}`, { range: 'bytes=10-' })
  expect([rest.status, await rest.text()]).toEqual([206, content.slice(10)])
  expect((await fromPool('/download/admin.key')).status).toBe(404)
})

test('a browser that opens the link sees the line that the operator was given', async () => {
  const path = new URL(link).pathname
  const page = await fromPool(path, { accept: 'text/html,*/*' })
  expect(page.headers.get('content-type')).toContain('text/html')
  const text = (await page.text()).replace(/&#(\d+);/g, (_, code) => String.fromCharCode(code))
  expect(install.linux).toContain(sha256)
  expect(text).toContain(install.linux ?? 'no line')
  expect(install.macos).toBeNull()
  expect(text).not.toContain('macOS,')
  expect(await (await fromPool(path)).text()).toContain(`join '${link}'`)
  expect((await fromPool('/join/%3Cscript%3E')).status).toBe(404)
})
