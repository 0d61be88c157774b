import { afterEach, beforeEach, expect, test } from 'bun:test'
import { createHash, X509Certificate } from 'node:crypto'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadTlsIdentity } from './authority.ts'

const now = Date.UTC(2026, 5, 1)
const dayMs = 86_400_000
const names = ['localhost', '127.0.0.1', '::1', 'pool.example.org']

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'gpupool-tls-'))
})
afterEach(() => rm(dir, { recursive: true, force: true }))

test('the server certificate is signed by the authority and good for every name', async () => {
  const tls = await loadTlsIdentity(dir, names, now)
  const ca = new X509Certificate(tls.caPem)
  const server = new X509Certificate(tls.certPem)
  expect(ca.ca).toBe(true)
  expect(server.ca).toBe(false)
  expect(server.verify(ca.publicKey)).toBe(true)
  expect(server.checkHost('pool.example.org')).toBe('pool.example.org')
  expect(server.checkIP('127.0.0.1')).toBe('127.0.0.1')
  expect(server.checkIP('::1')).toBe('::1')
  expect(tls.caFingerprint).toBe(createHash('sha256').update(ca.raw).digest('base64url'))
})

test('it begins an hour ago, since the clocks of other machines are off', async () => {
  const { certPem } = await loadTlsIdentity(dir, names, now)
  expect(Date.parse(new X509Certificate(certPem).validFrom)).toBe(now - 3_600_000)
})

test('a second start keeps both certificates, so that join links and agents stay valid', async () => {
  const first = await loadTlsIdentity(dir, names, now)
  expect(await loadTlsIdentity(dir, names, now + 100 * dayMs)).toEqual(first)
})

test('a new name or a nearly expired certificate renews the server certificate, never the authority', async () => {
  const first = await loadTlsIdentity(dir, names, now)
  const renamed = await loadTlsIdentity(dir, [...names, 'new.example.org'], now)
  expect(renamed.caPem).toBe(first.caPem)
  expect(new X509Certificate(renamed.certPem).checkHost('new.example.org')).toBeDefined()
  const later = await loadTlsIdentity(dir, names, now + 320 * dayMs)
  expect(later.caFingerprint).toBe(first.caFingerprint)
  expect(later.certPem).not.toBe(renamed.certPem)
})

test('private keys are readable by their owner alone', async () => {
  await loadTlsIdentity(dir, names, now)
  for (const name of ['ca.key', 'server.key'])
    expect((await stat(join(dir, 'tls', name))).mode & 0o777).toBe(0o600)
})
