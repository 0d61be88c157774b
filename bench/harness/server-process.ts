import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { BenchProcess } from './bench-process.ts'

type Ready = { readonly apiUrl: string; readonly controlPort: number }

export type ServerOptions = {
  /** What Bun runs: the server's own main, or something that starts it. */
  readonly entry: string
  readonly folder: string
  readonly cpu: number | null
}

/** A real gpupool server with its embedded database, in a folder of its own. */
export class ServerProcess {
  readonly process: BenchProcess
  readonly apiUrl: string
  readonly controlPort: number
  readonly #adminKey: string

  private constructor(process: BenchProcess, ready: Ready, adminKey: string) {
    this.process = process
    this.apiUrl = ready.apiUrl
    this.controlPort = ready.controlPort
    this.#adminKey = adminKey
  }

  static async start({ entry, folder, cpu }: ServerOptions): Promise<ServerProcess> {
    const dataDir = join(folder, 'server')
    await mkdir(dataDir, { recursive: true })
    const server = new BenchProcess({
      name: 'server',
      args: [entry],
      env: {
        GPUPOOL_DATA_DIR: dataDir,
        GPUPOOL_AGENT_HOST: '127.0.0.1',
        GPUPOOL_PORT: '0',
        GPUPOOL_AGENT_PORT: '0',
      },
      folder,
      cpu,
    })
    const ready = await server.next<Ready>('ready')
    const adminKey = (await readFile(join(dataDir, 'admin.key'), 'utf8')).trim()
    return new ServerProcess(server, ready, adminKey)
  }

  get apiPort(): number {
    return Number(new URL(this.apiUrl).port)
  }

  /** @throws with the server's words when it refuses */
  async admin<Answer>(method: string, path: string, body?: object): Promise<Answer> {
    const response = await fetch(`${this.apiUrl}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.#adminKey}`,
        'content-type': 'application/json',
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`)
    return JSON.parse(text) as Answer
  }

  async joinLink(uses: number): Promise<string> {
    const order = { uses, autoApprove: true }
    return (await this.admin<{ link: string }>('POST', '/admin/join-links', order)).link
  }
}
