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
  readonly agents: BenchProcess[]

  private constructor(server: ServerProcess, agents: BenchProcess[], key: string) {
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
  static async start({ folder, cpus, settings }: Context, agentsMin = 1): Promise<BenchPool> {
    const count = Math.max(agentsMin, Math.ceil(settings.streams / slotsPerAgent))
    const server = await ServerProcess.start({
      entry: 'src/server/main.ts',
      folder,
      cpu: cpus.measured,
    })
    const link = await server.joinLink(count)
    const agents: BenchProcess[] = []
    for (let i = 0; i < count; i++) {
      const where = { name: `agent-${i}`, folder, cpu: cpus.others }
      await joinPool(where, link)
      agents.push(await startAgent(where))
    }
    await server.admin('POST', '/admin/models', {
      name: model,
      source: modelPath,
      slots: slotsPerAgent,
    })
    await server.admin('POST', `/admin/models/${model}/load`, {})
    const { key } = await server.admin<{ key: string }>('POST', '/admin/keys', { name: 'bench' })
    const pool = new BenchPool(server, agents, key)
    await pool.allLoaded()
    return pool
  }

  /** Starts an agent again that has ended. */
  async restart(at: number, { folder, cpus }: Context): Promise<void> {
    this.agents[at] = await startAgent({ name: `agent-${at}`, folder, cpu: cpus.others })
    await this.server.admin('POST', `/admin/models/${model}/load`, {})
  }

  async stop(): Promise<void> {
    for (const agent of this.agents) await agent.stop()
    await this.server.process.stop()
  }

  /** Waits until every agent may get work and has the model in memory and nothing to do. */
  async allLoaded(): Promise<void> {
    const deadline = performance.now() + loadTimeoutMs
    while (performance.now() < deadline) {
      const { data } = await this.server.admin<{ data: AgentView[] }>('GET', '/admin/agents')
      const ready = data.filter(
        ({ liveness, activeRequests, instances }) =>
          liveness === 'green' &&
          activeRequests === 0 &&
          instances.some(({ status }) => status.state === 'ready'),
      )
      if (ready.length === this.agents.length) return
      await Bun.sleep(loadPollMs)
    }
    throw new CannotRun('the mock workers did not load in time; the machine may be overloaded')
  }
}

type AgentView = {
  readonly liveness: string
  readonly activeRequests: number
  readonly instances: readonly { readonly status: { readonly state: string } }[]
}

const loadTimeoutMs = 30_000
const loadPollMs = 50

type Where = { readonly name: string; readonly folder: string; readonly cpu: number | null }

const stateOf = ({ name, folder }: Where) => ({ GPUPOOL_AGENT_DIR: join(folder, name) })

async function joinPool(where: Where, link: string): Promise<void> {
  const { name } = where
  const joining = new BenchProcess({
    ...where,
    name: `${name}-join`,
    args: ['src/agent/main.ts', 'join', link, '--name', name],
    env: stateOf(where),
  })
  if ((await joining.exited) !== 0) await joining.next('joined')
}

async function startAgent(where: Where): Promise<BenchProcess> {
  const args = ['bench/relay/bench-agent.ts']
  const agent = new BenchProcess({ ...where, args, env: stateOf(where) })
  await agent.next('online')
  return agent
}
