import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Crew } from './crew.ts'
import type { Halt } from './halt.ts'
import type { Place } from './place.ts'
import { createPoolApi, type PoolApi } from './pool-api.ts'
import type { Story } from './story.ts'

export const demoModel = 'gpupool-demo'
const demoModelPath = 'models/demo/gpupool-demo.gguf'

const joinLinkTtlMs = 10 * 60_000
const onlineTimeoutMs = 60_000
const loadPollMs = 100

export type Pool = { readonly apiUrl: string; readonly adminKey: string; readonly api: PoolApi }

/** What could not be done and what to do about it. */
export type Refusal = { readonly refused: string }

/** A run that was halted meanwhile ends in undefined; `halt` knows why. */
type Step<T> = Promise<T | Refusal | undefined>

export const isRefusal = (value: object): value is Refusal => 'refused' in value

const succeeded = (result: object | undefined): boolean =>
  result !== undefined && !isRefusal(result)

type Run = {
  readonly place: Place
  readonly crew: Crew
  readonly halt: Halt
  readonly story: Story
}

/** Server, then an agent that joined through a real join link, then the demo model: a pool that answers. */
export async function bringUp(run: Run): Step<Pool> {
  const { story } = run
  const pool = await story.step('server ready', () => startServer(run), succeeded)
  if (pool === undefined || isRefusal(pool)) return pool
  const enrolled = existsSync(join(run.place.agentDir, 'agent.json'))
  const agent = await story.step(
    enrolled ? 'agent online' : 'agent enrolled through a join link, and online',
    async () => (enrolled ? undefined : await enrol(run, pool.api)) ?? (await startAgent(run)),
    succeeded,
  )
  if (agent === undefined || isRefusal(agent)) return agent
  const loaded = await story.step(
    `model ${demoModel} loaded`,
    () => loadDemoModel(run, pool.api),
    succeeded,
  )
  if (loaded === undefined || isRefusal(loaded)) return loaded
  return pool
}

async function startServer({ place, crew, halt }: Run): Step<Pool> {
  const server = crew.hire({
    name: 'server',
    command: ['src/server/main.ts'],
    env: place.serverEnv,
    logPath: place.serverLog,
  })
  const ready = await halt.orHalted(server.next('ready'))
  if (ready === undefined) return undefined
  const apiUrl = ready['apiUrl']
  if (typeof apiUrl !== 'string') return { refused: 'the server did not say where its API is' }
  const adminKey =
    place.serverEnv['GPUPOOL_ADMIN_KEY']?.trim() ||
    readFileSync(join(place.dataDir, 'admin.key'), 'utf8').trim()
  return { apiUrl, adminKey, api: createPoolApi(apiUrl, adminKey, halt.signal) }
}

const agentEnv = (place: Place) => ({ ...process.env, GPUPOOL_AGENT_DIR: place.agentDir })

/** @returns undefined when the agent is enrolled, or when the run was halted */
async function enrol({ place, crew, halt }: Run, api: PoolApi): Promise<Refusal | undefined> {
  const link = await api.createJoinLink({ uses: 1, ttlMs: joinLinkTtlMs, autoApprove: true })
  if (!link.ok) return { refused: `the server made no join link: ${link.message}` }
  if (halt.signal.aborted) return undefined
  const joined = await crew.runToEnd({
    name: 'agent join',
    command: ['src/agent/main.ts', 'join', link.value.link],
    env: agentEnv(place),
    logPath: place.agentLog,
  })
  if (joined === undefined || joined.code === 0) return undefined
  return { refused: ['the agent could not join the pool:', ...joined.lines].join('\n') }
}

async function startAgent({ place, crew, halt }: Run): Step<{ readonly online: true }> {
  if (halt.signal.aborted) return undefined
  const agent = crew.hire({
    name: 'agent',
    command: ['src/agent/main.ts', 'run'],
    env: agentEnv(place),
    logPath: place.agentLog,
  })
  const { promise: late, resolve: giveUp } = Promise.withResolvers<'late'>()
  const timer = setTimeout(() => giveUp('late'), onlineTimeoutMs)
  const online = await halt.orHalted(Promise.race([agent.next('online'), late]))
  clearTimeout(timer)
  if (online === 'late')
    return {
      refused: `the agent is not online after ${onlineTimeoutMs / 1000} s; see ${place.agentLog}. If the pool's database is a new one, remove ${place.agentDir}, so that the agent joins again.`,
    }
  return online === undefined ? undefined : { online: true }
}

async function loadDemoModel({ halt }: Run, api: PoolApi): Step<{ readonly loaded: true }> {
  const added = await api.addModel(demoModel, resolve(demoModelPath))
  if (!added.ok && added.status !== 409)
    return { refused: `the demo model could not be added: ${added.message}` }
  const ordered = await api.loadModel(demoModel)
  if (!ordered.ok) return { refused: `the demo model could not be loaded: ${ordered.message}` }
  while (!halt.signal.aborted) {
    const agents = await api.listAgents()
    if (!agents.ok) return { refused: `the server lists no agents: ${agents.message}` }
    const instances = agents.value.data.flatMap(agent => agent.instances)
    const found = instances.find(instance => instance.model === demoModel)
    if (found?.status.state === 'ready') return { loaded: true }
    if (found?.status.state === 'failed')
      return { refused: `the demo model could not be loaded: ${found.status.error?.message ?? ''}` }
    await halt.orHalted(Bun.sleep(loadPollMs))
  }
  return undefined
}
