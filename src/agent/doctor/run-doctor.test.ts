import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { Compile } from 'typebox/compile'
import { ManualTime } from '../../../test/support/manual-time.ts'
import { wallClock } from '../../clock.ts'
import type { GpuProbe } from '../../gpu/probe.ts'
import { sysfsAt } from '../../gpu/sysfs.ts'
import { createSystemProbe } from '../../gpu/system-probe.ts'
import { newAgentId } from '../../protocol/ids.ts'
import { takeAgentLock } from '../agent-lock.ts'
import { createTestAuthority } from '../certificates-for-tests.ts'
import { prepareSourceWorker } from '../engine/source-worker.ts'
import { prepareStateDir, readOrMakeKey, writeEnrolment } from '../state-dir.ts'
import { processTimers } from '../timers.ts'
import { DoctorReportSchema, type CheckName, type DoctorReport } from './finding.ts'
import { runDoctor, type DoctorTools } from './run-doctor.ts'

// The real machine, the real worker with the demo model, and real TLS servers.

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'gpupool-doctor-'))
})
const servers: Bun.Server<undefined>[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop(true)
  rmSync(dir, { recursive: true, force: true })
})

const noGpu: GpuProbe = {
  inventory: async () => ({ gpus: [], problems: [] }),
  readings: async () => [],
}
const tools = (change: Partial<DoctorTools> = {}): DoctorTools => ({
  stateDir: dir,
  sysfs: sysfsAt(),
  platform: process.platform,
  arch: process.arch,
  probe: noGpu,
  prepareWorker: prepareSourceWorker,
  timers: processTimers,
  wallClock,
  log: pino({ level: 'silent' }),
  ...change,
})
const statusesOf = (report: DoctorReport, check: CheckName) =>
  report.findings.filter(finding => finding.check === check).map(({ status }) => status)

const apiKey = 'gpt_agt_very_secret'

/** Joins the state directory to a pool at a port, with the pool's authority pinned. */
function join_(port: number, caPem: string): void {
  prepareStateDir(dir)
  readOrMakeKey(dir)
  const identity = {
    agentId: newAgentId(),
    origin: `https://127.0.0.1:${port}`,
    controlPort: port,
    caFingerprint: 'x',
    apiKey,
    name: 'desk',
    region: null,
  }
  writeEnrolment(dir, identity, caPem)
}

async function startPool(answer: (request: Request) => Response) {
  const authority = await createTestAuthority()
  const server = Bun.serve<undefined>({
    hostname: '127.0.0.1',
    port: 0,
    tls: await authority.issue('127.0.0.1'),
    fetch: answer,
  })
  servers.push(server)
  return { port: server.port ?? 0, caPem: authority.caPem }
}

describe('doctor', () => {
  test('on this machine as it is gives a report of the documented shape, and starts the engine', async () => {
    const report = await runDoctor(tools({ probe: createSystemProbe() }))
    expect(Compile(DoctorReportSchema).Check(report)).toBe(true)
    expect(statusesOf(report, 'identity')).toEqual(['skipped'])
    expect(statusesOf(report, 'ports')).toEqual([])
    const engine = report.findings.find(({ check }) => check === 'engine')
    expect(engine?.text).toStartWith('llama.cpp runs on ')
    expect(report.healthy).toBe(report.findings.every(({ status }) => status !== 'failing'))
    for (const { status, todo } of report.findings)
      if (status === 'warning' || status === 'failing') expect(todo).toBeTruthy()
  }, 30_000)

  test('reaches its pool step by step, is known there, and tells nobody its key', async () => {
    const keys: (string | null)[] = []
    const pool = await startPool(request => {
      if (!request.url.endsWith('/catalogue')) return new Response('')
      keys.push(request.headers.get('authorization'))
      return Response.json({ models: [], leftOut: 2 })
    })
    join_(pool.port, pool.caPem)
    const report = await runDoctor(tools())
    for (const check of ['identity', 'name', 'ports', 'certificate', 'clock', 'pool'] as const)
      expect(new Set(statusesOf(report, check)), check).toEqual(new Set(['ok']))
    expect(keys).toEqual([`Bearer ${apiKey}`])
    expect(report.findings.at(-1)?.text).toContain('2 models')
    expect(JSON.stringify(report)).not.toContain(apiKey)
  }, 30_000)

  test('says that the server is down, and skips what follows', async () => {
    const pool = await startPool(() => new Response(''))
    await servers.pop()?.stop(true)
    join_(pool.port, pool.caPem)
    const report = await runDoctor(tools())
    expect(statusesOf(report, 'name')).toEqual(['ok'])
    expect(statusesOf(report, 'ports')).toEqual(['failing', 'failing'])
    expect(statusesOf(report, 'certificate')).toEqual(['skipped', 'skipped'])
    expect(statusesOf(report, 'pool')).toEqual(['skipped'])
    expect(report.healthy).toBe(false)
  }, 30_000)

  test('says that another authority signed, and shows that server no key', async () => {
    const asked: string[] = []
    const pool = await startPool(request => {
      asked.push(`${new URL(request.url).pathname} ${request.headers.get('authorization')}`)
      return new Response('')
    })
    join_(pool.port, (await createTestAuthority()).caPem)
    const report = await runDoctor(tools())
    expect(statusesOf(report, 'ports')).toEqual(['ok', 'ok'])
    expect(statusesOf(report, 'certificate')).toEqual(['failing', 'failing'])
    expect(statusesOf(report, 'pool')).toEqual(['skipped'])
    expect(asked).toEqual(['/ca null'])
  }, 30_000)

  test('sees an agent that has the state directory and does not answer', async () => {
    prepareStateDir(dir)
    const held = takeAgentLock(dir)
    if ('ownerPid' in held) throw new Error('nobody else has it')
    const report = await runDoctor(tools())
    held.lock.release()
    expect(report.findings.find(({ check }) => check === 'agent')).toMatchObject({
      status: 'failing',
      text: expect.stringContaining(`pid ${process.pid}`),
    })
    expect(statusesOf(await runDoctor(tools()), 'agent')).toEqual(['ok'])
  }, 30_000)

  test('fails for a place that cannot hold a state directory', async () => {
    const report = await runDoctor(tools({ stateDir: '/dev/null/agent' }))
    expect(statusesOf(report, 'disk')).toEqual(['failing'])
    expect(statusesOf(report, 'identity')).toEqual(['failing'])
  }, 30_000)

  test('is not held up by a driver that hangs', async () => {
    const time = new ManualTime(0)
    const asked = Promise.withResolvers<void>()
    const hanging: GpuProbe = {
      ...noGpu,
      inventory() {
        asked.resolve()
        return new Promise(() => {})
      },
    }
    const engine = { problem: 'there is no engine in this test' }
    const running = runDoctor(
      tools({
        probe: hanging,
        timers: { after: time.startTimer },
        prepareWorker: async () => engine,
      }),
    )
    await asked.promise
    time.advance(60_000)
    const report = await running
    expect(report.findings.find(({ check }) => check === 'devices')).toMatchObject({
      status: 'failing',
      text: 'no answer within 60 s',
      todo: expect.stringContaining('a graphics driver hangs'),
    })
  }, 30_000)
})
