import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'bun:test'
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { encodeServerMessage } from '../protocol/codec.ts'
import { newAgentId } from '../protocol/ids.ts'
import { formatJoinLink } from '../protocol/join-link.ts'
import type { ServerMessage } from '../protocol/server-message.ts'
import { createTestAuthority, type TestAuthority } from './certificates-for-tests.ts'
import { software } from './software.ts'

const main = join(import.meta.dir, 'main.ts')
const agentId = newAgentId()

let authority: TestAuthority
let pool: Bun.Server<undefined>
let link = ''
let dir = ''
const closings: { code: number; reason: string }[] = []

beforeAll(async () => {
  authority = await createTestAuthority()
  pool = Bun.serve<undefined>({
    hostname: '127.0.0.1',
    port: 0,
    tls: await authority.issue('127.0.0.1'),
    fetch: (request, self) => {
      const { pathname } = new URL(request.url)
      if (pathname === '/ca') return new Response(authority.caPem)
      if (pathname === '/enrol')
        return Response.json({
          agentId,
          apiKey: 'gpt_agt_secret',
          controlPort: self.port,
          adminState: 'active',
          notes: ['card: its driver is bad'],
        })
      return self.upgrade(request) ? undefined : new Response('', { status: 404 })
    },
    websocket: {
      open: socket =>
        say(socket, { type: 'challenge', nonce: 'bm9uY2U=', versions: [1], features: [] }),
      message: (socket, data) => {
        if (typeof data !== 'string' || JSON.parse(data).type !== 'hello') return
        say(socket, {
          type: 'welcome',
          version: 1,
          features: [],
          heartbeatIntervalMs: 30_000,
          name: 'desk',
          adminState: 'active',
        })
      },
      close: (_, code, reason) => void closings.push({ code, reason }),
    },
  })
  link = formatJoinLink({
    origin: pool.url.origin,
    token: 'gpt_enr_0123456789abcdef',
    caFingerprint: authority.caFingerprint,
  })
})
afterAll(() => pool.stop(true))
beforeEach(() => {
  dir = join(mkdtempSync(join(tmpdir(), 'gpupool-cli-')), 'agent')
})
afterEach(() => rmSync(join(dir, '..'), { recursive: true, force: true }))

const say = (socket: Bun.ServerWebSocket<undefined>, message: ServerMessage) =>
  void socket.sendText(encodeServerMessage(message))

const children: Bun.Subprocess[] = []
afterEach(async () => {
  for (const child of children.splice(0)) {
    child.kill('SIGKILL')
    await child.exited
  }
})

function spawn(...args: string[]) {
  const child = Bun.spawn([process.execPath, main, ...args], {
    env: {
      ...process.env,
      GPUPOOL_AGENT_DIR: dir,
      GPUPOOL_AGENT_THREADS: '1',
      GPUPOOL_AGENT_CALIBRATE: 'off',
    },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  })
  children.push(child)
  return child
}

async function agent(...args: string[]) {
  const child = spawn(...args)
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()])
  return { exitCode: await child.exited, stdout, stderr }
}

async function firstLine(stream: ReadableStream<Uint8Array>): Promise<unknown> {
  const reader = stream.getReader()
  let text = ''
  while (!text.includes('\n')) {
    const { done, value } = await reader.read()
    if (done) throw new Error(`the stream ended after: ${text}`)
    text += new TextDecoder().decode(value)
  }
  reader.releaseLock()
  return JSON.parse(text.slice(0, text.indexOf('\n')))
}

describe('the command line', () => {
  test('tells its version and how it is used; wrong usage ends with 2', async () => {
    expect(await agent('version')).toMatchObject({
      exitCode: 0,
      stdout: `${software.version}\nprotocol  1\n`,
    })
    const probed = await agent('probe', '--json')
    expect(JSON.parse(probed.stdout)).toMatchObject({
      schemaVersion: 1,
      inventory: { arch: process.arch, gpus: expect.any(Array) },
    })
    expect((await agent('probe')).stdout).toContain('serves')
    expect(await agent('--help')).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining('join LINK'),
    })
    expect(await agent('fly')).toMatchObject({
      exitCode: 2,
      stdout: '',
      stderr: expect.stringContaining('there is no command "fly"'),
    })
  })

  test('examines a machine that has not joined; the exit code says whether anything fails', async () => {
    const { stdout, exitCode } = await agent('doctor', '--json')
    const report = JSON.parse(stdout)
    expect(exitCode).toBe(report.healthy ? 0 : 1)
    expect(report.findings).toContainEqual(
      expect.objectContaining({ check: 'identity', status: 'skipped' }),
    )
    // A file stands where a folder is needed: nobody can write there, whoever they are.
    const own = dir
    dir = join(main, 'agent')
    const failing = await agent('doctor')
    dir = own
    expect(failing).toMatchObject({ exitCode: 1, stderr: '' })
    expect(failing.stdout).toContain('\nfailing  disk ')
  }, 30_000)

  test('does not run on a machine that has not joined', async () => {
    expect(await agent('run')).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('join LINK'),
    })
    expect(await agent('join', 'https://nothing')).toMatchObject({ exitCode: 1 })
    expect(await agent('status')).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining('has not joined'),
    })
  })

  test('joins, runs once per state directory, shows its status, stops on a signal, and leaves', async () => {
    expect(await agent('join', link, '--name', 'desk')).toMatchObject({
      stderr: expect.stringContaining('note: card: its driver is bad\n'),
      exitCode: 0,
      stdout: expect.stringContaining(`as "desk" (${agentId})`),
    })
    expect((statSync(join(dir, 'agent.json')).mode & 0o777).toString(8)).toBe('600')
    expect(await agent('join', link)).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('run "leave" first'),
    })

    const running = spawn('run')
    expect(await firstLine(running.stdout)).toEqual({
      event: 'online',
      agentId,
      server: `wss://127.0.0.1:${pool.port}`,
    })
    expect(await agent('run')).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining(`pid ${running.pid}`),
    })
    const status = await agent('status', '--json')
    expect(status.stdout).not.toContain('gpt_agt_secret')
    expect(JSON.parse(status.stdout)).toMatchObject({
      running: true,
      agent: { pid: running.pid, connection: 'online' },
    })
    expect(await agent('leave', '--yes')).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('stop it first'),
    })
    const doctor = await agent('doctor', '--json')
    expect(doctor.stdout).not.toContain('gpt_agt_secret')
    expect(JSON.parse(doctor.stdout).findings).toContainEqual({
      check: 'agent',
      status: 'ok',
      text: `one is running (pid ${running.pid}), online`,
      todo: null,
    })

    running.kill('SIGTERM')
    expect(await running.exited).toBe(0)
    expect(closings.at(-1)).toEqual({ code: 1001, reason: 'the agent stops' })
    const after = await agent('status', '--json')
    expect(JSON.parse(after.stdout)).toMatchObject({ running: false, identity: { agentId } })
    expect(after.stdout).not.toContain('gpt_agt_secret')

    expect(await agent('leave')).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('--yes'),
    })
    expect(await agent('leave', '--yes')).toMatchObject({ exitCode: 0 })
    expect(existsSync(join(dir, 'agent.json'))).toBe(false)
  }, 30_000)
})
