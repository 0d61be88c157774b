import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Cluster } from '../cluster.ts'
import type { Program } from '../program.ts'
import { CutLine } from './cut-line.ts'
import { gateVariable, machineVariable } from './gate-message.ts'
import { buildVariable, type Build } from './other-build.ts'

const entry = 'test/support/takeover/gated-agent.ts'

/** One machine of the pool: a real agent with a gated worker, behind a network that can be cut. */
export class Machine {
  readonly name: string
  readonly id: string
  readonly line: CutLine
  readonly #cluster: Cluster
  readonly #environment: Readonly<Record<string, string>>
  #agent: Program
  #hasEnded = false

  private constructor(
    name: string,
    line: CutLine,
    cluster: Cluster,
    running: { environment: Readonly<Record<string, string>>; id: string; agent: Program },
  ) {
    this.name = name
    this.line = line
    this.#cluster = cluster
    this.#environment = running.environment
    this.id = running.id
    this.#agent = running.agent
  }

  static async start(
    cluster: Cluster,
    name: string,
    { gatePath, build }: { readonly gatePath: string; readonly build: Build },
  ): Promise<Machine> {
    const line = await CutLine.to(cluster.ready.controlPort)
    const environment = await cluster.joinAgent(name, {
      [gateVariable]: gatePath,
      [machineVariable]: name,
      [buildVariable]: build,
    })
    const identityPath = join(environment['GPUPOOL_AGENT_DIR'] ?? '', 'agent.json')
    const identity = JSON.parse(await readFile(identityPath, 'utf8')) as { agentId: string }
    await writeFile(identityPath, JSON.stringify({ ...identity, controlPort: line.port }))
    const agent = await cluster.runAgent(name, environment, entry)
    return new Machine(name, line, cluster, { environment, id: identity.agentId, agent })
  }

  get agentPid(): number {
    return this.#agent.pid
  }

  get hasEnded(): boolean {
    return this.#hasEnded
  }

  async end(): Promise<void> {
    this.#hasEnded = true
    await this.#agent.kill()
  }

  /** Ends what is left of it and starts it anew, with no model in memory. */
  async restart(): Promise<void> {
    await this.end()
    this.line.mend()
    this.#agent = await this.#cluster.runAgent(this.name, this.#environment, entry)
    this.#hasEnded = false
  }

  /** The operator forgives it what the test did to it; else it would soon get no work. */
  async forgive(): Promise<void> {
    await this.#cluster.admin('POST', `/admin/agents/${this.id}/resume`)
  }
}
