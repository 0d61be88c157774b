import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { systemClock, wallClock, type Clock } from '../clock.ts'
import { unknownReading } from '../gpu/probe.ts'
import type { GpuInventory } from '../protocol/gpu.ts'
import { newAgentId, newInstanceId, newJobId } from '../protocol/ids.ts'
import type { Load, ServerMessage } from '../protocol/server-message.ts'
import { encodeTokenFrame } from '../protocol/token-frame.ts'
import type { AgentDeps, Announcement } from './agent-deps.ts'
import { generateAgentKey } from './agent-keys.ts'
import { agentLimits } from './agent-limits.ts'
import { createTestAuthority, type TestAuthority } from './certificates-for-tests.ts'
import type { Engine, EngineEvent, EngineJob } from './engine/engine.ts'
import type { MeasureOutcome } from './engine/measuring.ts'
import { Inbox } from './inbox-for-tests.ts'
import { askStatus, localControlPath } from './local-control.ts'
import { startAgent, type RunningAgent } from './run.ts'
import { TestServer } from './server-for-tests.ts'
import { prepareStateDir } from './state-dir.ts'
import { processTimers, type Timers } from './timers.ts'

/** Stands where an engine stands; the test speaks for the worker. */
class FakeEngine implements Engine {
  readonly pid = 4711
  readonly jobs = new Inbox<EngineJob>()
  readonly cancelled = new Inbox<{ stream: number; attempt: number }>()
  closed = false
  readonly tell: (event: EngineEvent) => void

  constructor(tell: (event: EngineEvent) => void) {
    this.tell = tell
  }
  run(job: EngineJob): void {
    this.jobs.put(job)
  }
  cancel(stream: number, attempt: number): void {
    this.cancelled.put({ stream, attempt })
  }
  async close(): Promise<void> {
    this.closed = true
  }
}

type FakeMeasuring = { stopped: boolean; readonly end: (outcome: MeasureOutcome) => void }

/** Stands where the measuring process stands; the test says what it measures. */
const calibrationInto = (measurings: Inbox<FakeMeasuring>): AgentDeps['calibration'] => ({
  startMeasuring: () => {
    const { promise, resolve } = Promise.withResolvers<MeasureOutcome>()
    const measuring = { stopped: false, end: resolve }
    measurings.put(measuring)
    const stop = async () => {
      measuring.stopped = true
      resolve({ type: 'failed', error: { code: 'worker_died', message: '' }, crashed: true })
    }
    return { pid: 4712, outcome: promise, stop }
  },
})

let authority: TestAuthority
let server: TestServer
let dir = ''
let agents: RunningAgent[] = []
let engines = new Inbox<FakeEngine>()
let announcements = new Inbox<Announcement>()
/** The one device's temperature, and the next look at it. */
let temperatureC = 50
let readAgain = () => {}
/**
 * The wait before the second attempt (1 s less 30 %) and the quiet before measuring are skipped by moving the clock;
 * other timers are the process's.
 */
let skippedMs = 0
const clock: Clock = { now: () => systemClock.now() + skippedMs }
const timers: Timers = {
  after(ms, callback) {
    if (ms === agentLimits.readingsIntervalMs) {
      readAgain = callback
      return () => {}
    }
    const isRetry = ms >= 600 && ms <= 700
    const isQuiet = ms > 14_000 && ms <= agentLimits.calibrationQuietMs
    if (!isRetry && !isQuiet) return processTimers.after(ms, callback)
    skippedMs += ms
    return processTimers.after(0, callback)
  },
}

beforeAll(async () => {
  authority = await createTestAuthority()
})
beforeEach(async () => {
  server = new TestServer(await authority.issue('127.0.0.1'))
  dir = mkdtempSync(join(tmpdir(), 'gpupool-run-'))
  prepareStateDir(dir)
  engines = new Inbox()
  announcements = new Inbox()
})
afterEach(async () => {
  for (const agent of agents) agent.stop()
  await Promise.all(agents.map(agent => agent.ended))
  agents = []
  await server.stop()
  rmSync(dir, { recursive: true, force: true })
})

const modelPath = join(import.meta.dir, 'run.test.ts')
const agentId = newAgentId()

const settings = { chosenThreads: 1, idleUnloadMs: null, engineVersion: 'test' } as const
type Start = { calibration?: AgentDeps['calibration']; gpus?: readonly GpuInventory[] }

async function start({ calibration = null, gpus = [] }: Start = {}): Promise<RunningAgent> {
  const agent = await startAgent({
    calibration,
    dir,
    enrolment: {
      identity: {
        agentId,
        origin: 'https://127.0.0.1:1',
        controlPort: server.port,
        caFingerprint: authority.caFingerprint,
        apiKey: 'gpt_agt_key',
        name: 'desk',
        region: 'eu',
      },
      privateKeyPem: generateAgentKey(),
      caPem: authority.caPem,
    },
    inventory: {
      hostname: 'desk',
      os: 'linux',
      arch: 'x64',
      memoryTotalMb: 16_000,
      cpu: { name: 'cpu', physicalCores: 2, logicalCores: 2, features: [] },
      gpus: [...gpus],
    },
    probe: {
      inventory: async () => ({ gpus, problems: [] }),
      readings: async () =>
        gpus.map(({ id }) => ({ ...unknownReading(id), temperature_c: temperatureC })),
    },
    startEngine: (_, onEvent) => {
      const engine = new FakeEngine(onEvent)
      engines.put(engine)
      return engine
    },
    ...settings,
    clock,
    wallClock,
    timers,
    random: () => 0,
    log: pino({ level: 'silent' }),
    announce: announcement => announcements.put(announcement),
  })
  agents.push(agent)
  return agent
}

async function loadOf(): Promise<Load> {
  const bytes = await Bun.file(modelPath).bytes()
  return {
    type: 'load',
    instanceId: newInstanceId(),
    manifest: {
      name: 'demo',
      sha256: new Bun.CryptoHasher('sha256').update(bytes).digest('hex'),
      sizeBytes: bytes.length,
      architecture: 'llama',
      quantisation: null,
      contextTokensTrained: 512,
      chatTemplateSha256: null,
    },
    sources: [{ kind: 'path', path: modelPath }],
    contextTokens: 64,
    slots: 1,
  }
}

const assignOf = (load: Load, stream: number): ServerMessage => ({
  type: 'assign',
  jobId: newJobId(),
  stream,
  attempt: 0,
  instanceId: load.instanceId,
  chat: {
    messages: [{ role: 'user', content: 'hi' }],
    tools: [],
    sampling: { temperature: 0, topP: 1, seed: 1 },
    maxTokens: 8,
    stop: [],
    renderTimeMs: 0,
  },
  continuation: null,
})

/** Online, one model ready. */
async function loaded(options: Start & { features?: string[] } = {}) {
  await start(options)
  const session = await server.admit('active', options.features ?? [])
  const load = await loadOf()
  session.send(load)
  const engine = await engines.next()
  engine.tell({ type: 'ready', contextTokens: 64, slots: 1, loadMs: 5 })
  for (;;) {
    const { status } = await server.said.until('instance')
    if (status.state === 'ready') return { session, load, engine }
  }
}

describe('a running agent', () => {
  test('whose GPU gets too hot says so at once, then gives its work back, until it has cooled', async () => {
    temperatureC = 50
    const card: GpuInventory = {
      id: 'GPU-1',
      vendor: 'nvidia',
      kind: 'discrete',
      name: 'card',
      vramTotalMb: 8_192,
      driverVersion: null,
      computeCapability: null,
      pciBusId: null,
      source: 'test',
    }
    const { session, load, engine } = await loaded({ gpus: [card] })
    session.send(assignOf(load, 1))
    await engine.jobs.next()
    temperatureC = 96
    readAgain()
    expect(await server.said.until('heartbeat')).toMatchObject({
      status: 'degraded',
      reason: 'thermal',
      gpu_state: { temperature_c: 96 },
    })
    const failed = { stream: 1, error: { code: 'overheated' } }
    expect(await server.said.until('failed')).toMatchObject(failed)
    expect(await engine.cancelled.next()).toEqual({ stream: 1, attempt: 0 })
    session.send(assignOf(load, 2))
    expect(await server.said.until('failed')).toMatchObject({ stream: 2 })
    temperatureC = 84
    readAgain()
    expect(await server.said.until('heartbeat')).toMatchObject({ status: 'available' })
    session.send(assignOf(load, 3))
    expect((await engine.jobs.next()).stream).toBe(3)
  })

  test('introduces itself, comes online, says so, and sends a heartbeat at once', async () => {
    await start()
    const { hello } = await server.admit()
    expect(hello).toMatchObject({ agentId, apiKey: 'gpt_agt_key', region: 'eu', streams: [] })
    expect(await announcements.next()).toEqual({
      event: 'online',
      agentId,
      server: `wss://127.0.0.1:${server.port}`,
    })
    expect(await server.said.until('heartbeat')).toMatchObject({
      sequence: 1,
      agent_id: agentId,
      status: 'available',
    })
  })

  test('runs a job: started, token frames as the worker made them, finished, in this order', async () => {
    const { session, load, engine } = await loaded()
    session.send(assignOf(load, 5))
    expect(await engine.jobs.next()).toMatchObject({ stream: 5, attempt: 0 })
    const promptSha256 = 'a'.repeat(64)
    engine.tell({ type: 'started', stream: 5, attempt: 0, promptTokens: 3, promptSha256 })
    const frame = {
      stream: 5,
      attempt: 0,
      choice: 0,
      index: 0,
      tokenId: 17,
      segments: [{ kind: 'answer', text: 'é' }],
    } as const
    engine.tell({ type: 'token_frame', bytes: encodeTokenFrame(frame) })
    engine.tell({ type: 'finished', stream: 5, attempt: 0, reason: 'stop', tokens: 1 })
    const words = [
      await server.said.until('started'),
      await server.said.next(),
      await server.said.next(),
    ]
    expect(words).toMatchObject([
      { type: 'started', promptTokens: 3 },
      { type: 'tokens', frames: [{ type: 'token', ...frame }] },
      { type: 'finished', stream: 5, tokens: 1 },
    ])
  })

  test('sends frames that come together in one message to a server that takes it, before the end', async () => {
    const { session, load, engine } = await loaded({ features: ['frames'] })
    session.send(assignOf(load, 5))
    await engine.jobs.next()
    const bytes = (index: number) =>
      encodeTokenFrame({ stream: 5, attempt: 0, choice: 0, index, tokenId: 17, segments: [] })
    for (const index of [0, 1, 2]) engine.tell({ type: 'token_frame', bytes: bytes(index) })
    engine.tell({ type: 'finished', stream: 5, attempt: 0, reason: 'stop', tokens: 3 })
    const { frames } = await server.said.until('tokens')
    expect(frames.map(frame => frame.index)).toEqual([0, 1, 2])
    expect(await server.said.next()).toMatchObject({ type: 'finished', tokens: 3 })
  })

  test('survives its worker: the job fails, the model comes back', async () => {
    const { session, load, engine } = await loaded()
    session.send(assignOf(load, 6))
    await engine.jobs.next()
    const error = { code: 'worker_died', message: 'gone' } as const
    engine.tell({ type: 'died', error, exit: 'SIGKILL' })
    expect(await server.said.until('failed')).toMatchObject({
      stream: 6,
      error: { code: 'worker_died' },
    })
    const second = await engines.next()
    second.tell({ type: 'ready', contextTokens: 64, slots: 1, loadMs: 5 })
    session.send(assignOf(load, 7))
    expect(await second.jobs.next()).toMatchObject({ stream: 7 })
  })

  test('that loses its server cancels its jobs, comes back, and still has its models', async () => {
    const { session, load, engine } = await loaded()
    session.send(assignOf(load, 8))
    await engine.jobs.next()
    await announcements.next()
    session.close()
    expect(await engine.cancelled.next()).toEqual({ stream: 8, attempt: 0 })
    expect(await announcements.next()).toEqual({ event: 'offline', reason: 'test (code 1001)' })
    const { hello } = await server.admit('draining')
    expect(hello.instances).toMatchObject([
      { instanceId: load.instanceId, status: { state: 'ready' } },
    ])
    expect(await server.said.until('heartbeat')).toMatchObject({
      status: 'draining',
      models_loaded: ['demo'],
    })
  })

  test('measures itself when nobody wants anything, and tells the server what came out', async () => {
    const measurings = new Inbox<FakeMeasuring>()
    const agent = start({ calibration: calibrationInto(measurings) })
    const admitted = await server.admit('active', ['inventory'])
    await agent
    const measuring = await measurings.next()
    measuring.end({
      type: 'measured',
      backend: 'cpu',
      deviceNames: [],
      vram: null,
      threads: 2,
      points: [{ threads: 2, decodeTokensPerS: 50, prefillTokensPerS: 500 }],
    })
    const { inventory } = await server.said.until('inventory')
    expect(inventory.cpu.measured).toMatchObject({ threads: 2, decode: { tokensPerS: 50 } })
    // The next connection's hello has it, too.
    admitted.close()
    const { hello } = await server.admit()
    expect(hello.inventory).toEqual(inventory)
  })

  test('stops measuring when a model is to be loaded', async () => {
    const measurings = new Inbox<FakeMeasuring>()
    const agent = start({ calibration: calibrationInto(measurings) })
    const { send } = await server.admit()
    await agent
    const measuring = await measurings.next()
    send(await loadOf())
    await engines.next()
    expect(measuring.stopped).toBe(true)
  })

  test('tells its owner how it is', async () => {
    const { load } = await loaded()
    expect(await askStatus(localControlPath(dir))).toMatchObject({
      pid: process.pid,
      connection: 'online',
      slots: 1,
      busySlots: 0,
      instances: [{ instanceId: load.instanceId, model: 'demo', state: 'ready' }],
    })
  })

  test('that is stopped says goodbye, ends its workers, and ends with 0', async () => {
    const { engine } = await loaded()
    const agent = agents[0]!
    agent.stop()
    expect(await agent.ended).toBe(0)
    expect(engine.closed).toBe(true)
    expect(await server.closings.next()).toEqual({ code: 1001, reason: 'the agent stops' })
    expect(await askStatus(localControlPath(dir))).toBeUndefined()
  })

  test('that is refused for good ends with 3', async () => {
    const agent = await start()
    await server.refuse(null)
    expect(await agent.ended).toBe(3)
  })
})
