import { expect, test } from 'bun:test'
import { checkServer, type PortFacts, type ServerFacts } from './check-server.ts'
import type { CheckName } from './finding.ts'

const well = { problem: null }
const port = (change: Partial<PortFacts> = {}): PortFacts => ({
  port: 8444,
  use: 'enrolment',
  reached: well,
  trusted: well,
  ...change,
})
const check = (change: Partial<ServerFacts> = {}) =>
  checkServer({
    host: 'pool.example',
    name: well,
    ports: [port(), port({ port: 8443, use: 'control' })],
    clock: { aheadMs: 0 },
    pool: { type: 'accepted', models: 3 },
    ...change,
  })
const only = (name: CheckName, change: Partial<ServerFacts>) =>
  check(change).filter(finding => finding.check === name)

test('a server that is reached by every step is well by every step', () => {
  expect(check().map(finding => [finding.check, finding.status])).toEqual([
    ['name', 'ok'],
    ['ports', 'ok'],
    ['ports', 'ok'],
    ['certificate', 'ok'],
    ['certificate', 'ok'],
    ['clock', 'ok'],
    ['pool', 'ok'],
  ])
})

test('a name without an address fails, and what needs it is skipped', () => {
  const ports = [port({ reached: null, trusted: null })]
  const findings = check({
    name: { problem: 'ENOTFOUND' },
    ports,
    clock: { aheadMs: null },
    pool: null,
  })
  expect(findings.map(({ status }) => status)).toEqual([
    'failing',
    'skipped',
    'skipped',
    'skipped',
    'skipped',
  ])
  expect(findings[0]?.todo).toContain('DNS')
})

test('a closed port and a silent one are told apart', () => {
  const closed = [port({ reached: { problem: 'connect ECONNREFUSED' }, trusted: null })]
  const silent = [port({ reached: { problem: 'no answer within 5 s' }, trusted: null })]
  expect(only('ports', { ports: closed })[0]?.todo).toContain('is the server up')
  expect(only('ports', { ports: silent })[0]?.todo).toContain('pool.example:8444')
})

test.each([
  ['CERT_HAS_EXPIRED', 'clock'],
  ['CERT_NOT_YET_VALID', 'clock'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'GPUPOOL_PUBLIC_URL'],
  ['CERT_SIGNATURE_FAILURE', 'another server'],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'another server'],
  ['ECONNRESET', 'proxy'],
])('a certificate that is not accepted for %s says what follows', (problem, todo) => {
  expect(only('certificate', { ports: [port({ trusted: { problem } })] })[0]).toMatchObject({
    status: 'failing',
    text: `port 8444: not verified: ${problem}`,
    todo: expect.stringContaining(todo),
  })
})

test('a clock that is off a little warns, one that is off by hours fails', () => {
  const minute = 60_000
  const clock = (aheadMs: number | null) => only('clock', { clock: { aheadMs } })[0]
  expect(clock(-20_000)?.status).toBe('ok')
  expect(clock(5 * minute)).toMatchObject({
    status: 'warning',
    text: expect.stringContaining("5 min ahead of the server's"),
  })
  expect(clock(-3 * 60 * minute)).toMatchObject({
    status: 'failing',
    text: expect.stringContaining("3 h behind the server's"),
  })
  expect(clock(400 * 24 * 60 * minute)?.text).toContain('400 days ahead')
  expect(clock(null)?.status).toBe('skipped')
})

test('a pool that refuses, is older, or does not answer says which', () => {
  const pool = (answer: ServerFacts['pool']) => only('pool', { pool: answer })[0]
  expect(pool({ type: 'accepted', models: 1 })?.text).toContain('1 model in')
  expect(pool({ type: 'refused', message: 'no' })).toMatchObject({
    status: 'failing',
    todo: expect.stringContaining('approved'),
  })
  expect(pool({ type: 'older' })?.status).toBe('skipped')
  expect(pool({ type: 'unreachable', problem: 'cut' })?.status).toBe('failing')
  expect(pool(null)?.status).toBe('skipped')
})
