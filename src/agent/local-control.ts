import { createHash } from 'node:crypto'
import { chmodSync, mkdirSync, rmSync } from 'node:fs'
import { createConnection, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { Type, type Static } from 'typebox'
import { Compile } from 'typebox/compile'
import { AgentMetricsSchema } from '../protocol/agent-metrics.ts'
import { agentLimits } from './agent-limits.ts'
import { StateError } from './state-dir.ts'

/** What a running agent tells its owner. */
export const AgentStatusSchema = Type.Object({
  pid: Type.Integer(),
  version: Type.String(),
  agentId: Type.String(),
  name: Type.String(),
  server: Type.String(),
  connection: Type.String(),
  /** Why the connection is in this state, where there is something to say. */
  detail: Type.Union([Type.String(), Type.Null()]),
  draining: Type.Boolean(),
  uptimeSeconds: Type.Number(),
  busySlots: Type.Integer(),
  slots: Type.Integer(),
  instances: Type.Array(
    Type.Object({
      instanceId: Type.String(),
      model: Type.String(),
      state: Type.String(),
      detail: Type.Union([Type.String(), Type.Null()]),
      jobsRunning: Type.Integer(),
      jobsWaiting: Type.Integer(),
    }),
  ),
  gpus: Type.Array(Type.String()),
  /** Engines that the owner runs beside the agent; an older agent does not say. */
  engines: Type.Optional(
    Type.Array(
      Type.Object({
        url: Type.String(),
        models: Type.ReadonlyType(Type.Array(Type.String())),
        problem: Type.Union([Type.String(), Type.Null()]),
      }),
    ),
  ),
  /** What is measured of its work; an older agent does not say. */
  metrics: Type.Optional(AgentMetricsSchema),
  /** Files that are not loaded because they ended their workers; an older agent does not say. */
  quarantined: Type.Optional(
    Type.Array(Type.Object({ sha256: Type.String(), model: Type.String(), reason: Type.String() })),
  ),
})
export type AgentStatus = Static<typeof AgentStatusSchema>
const statusCheck = Compile(AgentStatusSchema)

/** Unix socket paths hold 104 bytes on macOS and 108 on Linux, the end mark included. */
const socketPathBytesMax = 100

/**
 * Where the owner of the machine talks to the running agent: a unix socket in the state directory, or a named pipe on
 * Windows. No network, ever. A directory whose path is too long for a socket gets a private one under the temp folder.
 */
export function localControlPath(dir: string): string {
  const absolute = resolve(dir)
  const hash = createHash('sha256').update(absolute).digest('hex').slice(0, 24)
  if (process.platform === 'win32') return `\\\\.\\pipe\\gpupool-agent-${hash}`
  const path = join(absolute, 'agent.sock')
  if (Buffer.byteLength(path) <= socketPathBytesMax) return path
  return join(tmpdir(), `gpupool-${process.getuid?.() ?? 0}-${hash}`, 'agent.sock')
}

/** Answers what is not `status`; undefined: it knows no such request. */
export type AnswerLine = (line: string) => Promise<unknown>

/**
 * Answers `status`, and what `more` knows, until closed. The caller holds the lock of the state directory, so a socket file that is there was
 * left by an agent that was killed.
 * @throws StateError when the socket cannot be made
 */
export async function serveLocalControl(
  path: string,
  status: () => AgentStatus,
  more: AnswerLine = async () => undefined,
): Promise<{ close(): void }> {
  const server = createServer(socket => answer(socket, status, more))
  const isFile = process.platform !== 'win32'
  try {
    if (isFile) {
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
      chmodSync(dirname(path), 0o700)
      rmSync(path, { force: true })
    }
    const listening = Promise.withResolvers<void>()
    server.once('error', listening.reject)
    server.listen(path, listening.resolve)
    await listening.promise
    if (isFile) chmodSync(path, 0o600)
  } catch (error) {
    throw new StateError(`the local control socket ${path} cannot be made: ${String(error)}`)
  }
  return {
    close() {
      server.close()
      if (isFile) rmSync(path, { force: true })
    },
  }
}

function answer(socket: Socket, status: () => AgentStatus, more: AnswerLine): void {
  let request = ''
  socket.setTimeout(agentLimits.localControlTimeoutMs, () => socket.destroy())
  // A client that goes away early is its own business.
  socket.on('error', () => socket.destroy())
  socket.setEncoding('utf8')
  socket.on('data', (text: string) => {
    request += text
    if (!request.includes('\n') && request.length < agentLimits.localControlBytesMax) return
    socket.removeAllListeners('data')
    void answerLine(request.trim(), status, more).then(said =>
      socket.end(`${JSON.stringify(said)}\n`),
    )
  })
}

const answerLine = async (line: string, status: () => AgentStatus, more: AnswerLine) =>
  line === 'status' ? status() : ((await more(line)) ?? { error: 'unknown request' })

/** @returns what the running agent says, or undefined when none is running on this state directory */
export async function askStatus(path: string): Promise<AgentStatus | undefined> {
  const text = await askLocal(path, 'status')
  if (text === undefined) return undefined
  const status = parseStatus(text)
  if (status === undefined) throw new StateError('the running agent answers another language')
  return status
}

/**
 * Asks the running agent one line.
 * @returns its answer, or undefined when none is running on this state directory
 * @throws StateError when it cannot be asked
 */
export function askLocal(path: string, line: string): Promise<string | undefined> {
  return new Promise((settle, fail) => {
    const socket = createConnection(path)
    let text = ''
    socket.setTimeout(agentLimits.localControlTimeoutMs, () => {
      socket.destroy()
      fail(new StateError('the running agent does not answer'))
    })
    socket.setEncoding('utf8')
    socket.on('connect', () => socket.write(`${line}\n`))
    socket.on('data', (piece: string) => {
      text += piece
      if (text.length > agentLimits.localControlBytesMax) socket.destroy()
    })
    socket.on('error', error => {
      const code: unknown = Reflect.get(error, 'code')
      // Refused: the socket file is a leftover of an agent that was killed.
      if (code === 'ENOENT' || code === 'ECONNREFUSED') settle(undefined)
      else fail(new StateError(`the running agent cannot be asked: ${error.message}`))
    })
    socket.on('close', () => settle(text))
  })
}

function parseStatus(text: string): AgentStatus | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return statusCheck.Check(value) ? value : undefined
  } catch {
    return undefined
  }
}
