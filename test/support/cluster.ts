import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { event, Program } from './program.ts'

export const demoModelPath = new URL('../../models/demo/gpupool-demo.gguf', import.meta.url)
  .pathname
export const demoModel = 'gpupool-demo'

type Ready = { apiUrl: string; enrolUrl: string; controlPort: number }

/**
 * A whole pool out of real processes: one server, agents, their workers, the demo model. Every test file has its own;
 * `close` stops what it started and removes its folder.
 */
export class Cluster {
  readonly folder: string
  readonly #serverEnv: Readonly<Record<string, string>>
  readonly #programs: Program[] = []
  server: Program
  ready: Ready
  adminKey: string

  private constructor(
    folder: string,
    serverEnv: Readonly<Record<string, string>>,
    started: { server: Program; ready: Ready; adminKey: string },
  ) {
    this.folder = folder
    this.#serverEnv = serverEnv
    this.server = started.server
    this.ready = started.ready
    this.adminKey = started.adminKey
    this.#programs.push(started.server)
  }

  static async start(env: Readonly<Record<string, string>> = {}): Promise<Cluster> {
    const folder = await mkdtemp(join(tmpdir(), 'gpupool-test-'))
    const serverEnv = {
      GPUPOOL_DATA_DIR: join(folder, 'server'),
      GPUPOOL_AGENT_HOST: '127.0.0.1',
      GPUPOOL_PORT: '0',
      GPUPOOL_AGENT_PORT: '0',
      ...env,
    }
    return new Cluster(folder, serverEnv, await startServer(serverEnv))
  }

  /** Starts the server again, after it was stopped or killed, on the ports that it had. */
  async restartServer(): Promise<void> {
    const started = await startServer({
      ...this.#serverEnv,
      GPUPOOL_PORT: new URL(this.ready.apiUrl).port,
      GPUPOOL_AGENT_PORT: String(this.ready.controlPort),
    })
    this.server = started.server
    this.ready = started.ready
    this.#programs.push(started.server)
  }

  /** Enrols a machine through a real join link and starts its agent; resolves when it is online. */
  async addAgent(
    name: string,
    environment: Readonly<Record<string, string>> = {},
    entry = 'src/agent/main.ts',
  ): Promise<Program> {
    const env = await this.joinAgent(name, environment)
    return this.runAgent(name, env, entry)
  }

  /** Enrols a machine. @returns the environment to run its agent with */
  async joinAgent(
    name: string,
    environment: Readonly<Record<string, string>> = {},
  ): Promise<Readonly<Record<string, string>>> {
    const { link } = await this.admin<{ link: string }>('POST', '/admin/join-links', {
      autoApprove: true,
    })
    const env = {
      GPUPOOL_AGENT_DIR: join(this.folder, name),
      GPUPOOL_AGENT_THREADS: '1',
      GPUPOOL_AGENT_CALIBRATE: 'off',
      ...environment,
    }
    const join_ = new Program(
      `${name}: join`,
      ['src/agent/main.ts', 'join', link, '--name', name],
      env,
    )
    if ((await join_.exited) !== 0) throw new Error(`${name} could not join:\n${join_.output}`)
    return env
  }

  /** Starts the agent of a machine that has joined; resolves when it is online. */
  async runAgent(
    name: string,
    env: Readonly<Record<string, string>>,
    entry = 'src/agent/main.ts',
  ): Promise<Program> {
    const agent = new Program(name, [entry, 'run'], env)
    this.#programs.push(agent)
    await agent.line(event('online'))
    return agent
  }

  /** Puts the demo model into the catalogue; the first request loads it. */
  async addDemoModel(settings: { slots?: number; contextTokens?: number } = {}): Promise<void> {
    await this.admin('POST', '/admin/models', {
      name: demoModel,
      source: demoModelPath,
      ...settings,
    })
  }

  async admin<Answer>(method: string, path: string, body?: unknown): Promise<Answer> {
    const response = await this.request(method, path, body)
    const text = await response.text()
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`)
    return JSON.parse(text) as Answer
  }

  request(method: string, path: string, body?: unknown): Promise<Response> {
    return fetch(`${this.ready.apiUrl}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.adminKey}`,
        'content-type': 'application/json',
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
  }

  /** One answer, not streamed. */
  async ask(content: string, settings: Record<string, unknown> = {}): Promise<string> {
    const answer = await this.admin<{ choices: { message: { content: string } }[] }>(
      'POST',
      '/v1/chat/completions',
      {
        model: demoModel,
        temperature: 0,
        messages: [{ role: 'user', content }],
        ...settings,
      },
    )
    return answer.choices[0]?.message.content ?? ''
  }

  async close(): Promise<void> {
    for (const program of this.#programs.reverse()) await program.kill()
    await rm(this.folder, { recursive: true, force: true })
  }
}

async function startServer(env: Readonly<Record<string, string>>) {
  const server = new Program('server', ['src/server/main.ts'], env)
  const ready = JSON.parse(await server.line(event('ready'))) as Ready
  const adminKey = (await readFile(`${env['GPUPOOL_DATA_DIR']}/admin.key`, 'utf8')).trim()
  return { server, ready, adminKey }
}
