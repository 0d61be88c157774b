import { join } from 'node:path'
import { BenchProcess } from '../harness/bench-process.ts'
import { CannotRun, type Context } from '../harness/context.ts'
import { childrenOf } from '../harness/process-usage.ts'
import { ServerProcess } from '../harness/server-process.ts'
import type { Target } from './load.ts'

const model = 'bench'
const modelPath = new URL('../../models/demo/gpupool-demo.gguf', import.meta.url).pathname
/** The protocol's bound of one placement. */
const slotsPerAgent = 256

/** A whole pool out of real processes, with mock workers. */
export class BenchPool {
  readonly target: Target
  readonly server: ServerProcess
  readonly agents: readonly BenchProcess[]

  private constructor(server: ServerProcess, agents: readonly BenchProcess[], key: string) {
    this.server = server
    this.agents = agents
    this.target = { port: server.apiPort, model, key }
  }

  get workerPids(): readonly number[] {
    return this.agents.flatMap(agent => childrenOf(agent.pid))
  }

  get agentPids(): readonly number[] {
    return this.agents.map(agent => agent.pid)
  }

  get pids(): readonly number[] {
    return [this.server.process.pid, ...this.agentPids, ...this.workerPids]
  }

  /** Starts server and agents, enrols them through a real join link and loads the model on each of them. */
  static async start({ folder, cpus, settings }: Context): Promise<BenchPool> {
    const count = Math.ceil(settings.streams / slotsPerAgent)
    const server = await ServerProcess.start({
      entry: 'src/server/main.ts',
      folder,
      cpu: cpus.measured,
    })
    const link = await server.joinLink(count)
    const agents: BenchProcess[] = []
    for (let i = 0; i < count; i++)
      agents.push(await startAgent(`agent-${i}`, link, folder, cpus.others))
    await server.admin('POST', '/admin/models', {
      name: model,
      source: modelPath,
      slots: slotsPerAgent,
    })
    await server.admin('POST', `/admin/models/${model}/load`, {})
    const { key } = await server.admin<{ key: string }>('POST', '/admin/keys', { name: 'bench' })
    const pool = new BenchPool(server, agents, key)
    await pool.#allLoaded()
    return pool
  }

  async stop(): Promise<void> {
    for (const agent of this.agents) await agent.stop()
    await this.server.process.stop()
  }

  async #allLoaded(): Promise<void> {
    const deadline = performance.now() + loadTimeoutMs
    while (performance.now() < deadline) {
      const { data } = await this.server.admin<{ data: AgentView[] }>('GET', '/admin/agents')
      const ready = data.filter(agent =>
        agent.instances.some(instance => instance.status.state === 'ready'),
      )
      if (ready.length === this.agents.length) return
      await Bun.sleep(loadPollMs)
    }
    throw new CannotRun('the mock workers did not load in time; the machine may be overloaded')
  }
}

type AgentView = {
  readonly instances: readonly { readonly status: { readonly state: string } }[]
}

const loadTimeoutMs = 30_000
const loadPollMs = 50

async function startAgent(
  name: string,
  link: string,
  folder: string,
  cpu: number | null,
): Promise<BenchProcess> {
  const env = { GPUPOOL_AGENT_DIR: join(folder, name) }
  const joining = new BenchProcess({
    name: `${name}-join`,
    args: ['src/agent/main.ts', 'join', link, '--name', name],
    env,
    folder,
    cpu,
  })
  if ((await joining.exited) !== 0) await joining.next('joined')
  const agent = new BenchProcess({
    name,
    args: ['bench/relay/bench-agent.ts'],
    env,
    folder,
    cpu,
  })
  await agent.next('online')
  return agent
}
