import { afterEach, beforeEach, expect, test } from 'bun:test'
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import {
  askStatus,
  localControlPath,
  serveLocalControl,
  type AgentStatus,
} from './local-control.ts'
import { formatStatus } from './status-text.ts'

let dir = ''
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'gpupool-control-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

const status: AgentStatus = {
  pid: 1,
  version: '0.1.0',
  agentId: 'id',
  name: 'desk',
  server: 'wss://pool:8443',
  connection: 'backing_off',
  detail: 'the server does not answer',
  draining: false,
  uptimeSeconds: 3_700,
  busySlots: 1,
  slots: 2,
  instances: [
    {
      instanceId: 'i',
      model: 'demo',
      state: 'ready',
      detail: null,
      jobsRunning: 1,
      jobsWaiting: 0,
    },
  ],
  gpus: [],
}

test('a running agent answers its owner, and nobody else can reach the socket', async () => {
  const path = localControlPath(dir)
  const control = await serveLocalControl(path, () => status)
  expect((statSync(path).mode & 0o777).toString(8)).toBe('600')
  expect(await askStatus(path)).toEqual(status)
  expect(await askStatus(path)).toEqual(status)
  control.close()
  expect(await askStatus(path)).toBeUndefined()
})

test('a socket that a killed agent left is taken over', async () => {
  const path = localControlPath(dir)
  writeFileSync(path, '')
  const control = await serveLocalControl(path, () => status)
  expect(await askStatus(path)).toEqual(status)
  control.close()
})

test('an unknown request is answered with an error', async () => {
  const path = localControlPath(dir)
  const control = await serveLocalControl(path, () => status)
  const answer = await new Promise<string>(resolve => {
    const socket = createConnection(path, () => socket.write('dance\n'))
    socket.setEncoding('utf8')
    socket.on('data', resolve)
  })
  expect(JSON.parse(answer)).toEqual({ error: 'unknown request' })
  control.close()
})

test('a directory whose path is too long for a socket gets a private one elsewhere', async () => {
  const path = localControlPath(join(dir, 'x'.repeat(120)))
  expect(Buffer.byteLength(path)).toBeLessThanOrEqual(104)
  const control = await serveLocalControl(path, () => status)
  expect((statSync(dirname(path)).mode & 0o777).toString(8)).toBe('700')
  expect(await askStatus(path)).toEqual(status)
  control.close()
  rmSync(dirname(path), { recursive: true })
})

test('people get lines', () => {
  const quarantined = [{ sha256: 'ab'.repeat(32), model: 'bad', reason: 'it ended its worker' }]
  expect(formatStatus({ ...status, quarantined })).toBe(`desk id
  server      wss://pool:8443
  connection  backing off (the server does not answer)
  process     pid 1, version 0.1.0, up 1 h 1 min
  work        1 of 2 slots busy
  devices     CPU only
  model       demo ready, 1 running, 0 waiting
  quarantine  bad (abababababab) is not loaded: it ended its worker
`)
})
