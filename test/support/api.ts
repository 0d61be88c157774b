import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ExternalModel } from '../../src/models/external-model.ts'
import type { AgentId } from '../../src/protocol/ids.ts'
import type { QueueRow } from '../../src/scheduler/waiting-room.ts'
import { createApp, type App } from '../../src/server/app.ts'
import type { ModelLibraryDeps } from '../../src/server/admin/model-library.ts'
import { DownloadFiles } from '../../src/server/download/download-files.ts'
import { createLog } from '../../src/server/log.ts'
import { Metrics } from '../../src/server/metrics.ts'
import type { AgentLive, AgentOverview, PoolAdmin } from '../../src/server/pool-admin.ts'
import { agentOverview } from '../../src/server/pool/agent-overview.ts'
import { factsOf } from '../../src/server/pool/catalogue.ts'
import { MachineHealth } from '../../src/server/pool/machine-health.ts'
import type { AgentRecord, ModelRecord, Store } from '../../src/server/store/store.ts'
import { ManualTime } from './manual-time.ts'
import { ScriptedInference } from './scripted-inference.ts'
import { start } from './store-fixtures.ts'

export const adminKey = 'the-operators-own-key-for-tests'

type Counts = ReturnType<PoolAdmin['counts']>

/** The pool's side of the admin API over the real store, with what only a running pool knows set by the test. */
export class StaticPool implements PoolAdmin {
  readonly #store: Store
  readonly loads: { name: string; agentId: AgentId | null }[] = []
  readonly unloads: string[] = []
  readonly joinLinks: Parameters<PoolAdmin['createJoinLink']>[0][] = []
  catalogueReads = 0
  loadOutcome: Awaited<ReturnType<PoolAdmin['loadModel']>> = { agents: 1 }
  live: AgentLive = {
    connected: false,
    liveness: 'red',
    status: null,
    lastHeartbeatAt: null,
    softwareVersion: null,
    lastHeartbeat: null,
    activeRequests: 0,
    externalModels: null,
    instances: [],
  }
  offers: readonly ExternalModel[] = []
  rows: readonly QueueRow[] = []
  numbers: Counts = {
    agentsConnected: 0,
    agentsGreen: 0,
    requestsRunning: 0,
    requestsQueued: 0,
    queuedByPriority: { high: 0, normal: 0, low: 0 },
    slotsTotal: 0,
    slotsBusy: 0,
    tokensRelayed: 0,
  }

  constructor(store: Store) {
    this.#store = store
  }

  queue(): readonly QueueRow[] {
    return this.rows
  }

  externalModels(): readonly ExternalModel[] {
    return this.offers
  }

  async listAgents(): Promise<readonly AgentOverview[]> {
    const models = await this.#store.listModels()
    return (await this.#store.listAgents()).map(record => this.#overview(record, models))
  }

  async getAgent(id: AgentId): Promise<AgentOverview | undefined> {
    const record = await this.#store.getAgent(id)
    if (record === undefined) return undefined
    return this.#overview(record, await this.#store.listModels())
  }

  setAdminState(...change: Parameters<PoolAdmin['setAdminState']>): Promise<boolean> {
    return this.#store.setAgentAdminState(...change)
  }

  catalogueChanged(): Promise<void> {
    this.catalogueReads++
    return Promise.resolve()
  }

  readonly stayChanges: string[] = []

  modelStayChanged(name: string): Promise<void> {
    this.stayChanges.push(name)
    return Promise.resolve()
  }

  loadModel(name: string, agentId: AgentId | null): ReturnType<PoolAdmin['loadModel']> {
    this.loads.push({ name, agentId })
    return Promise.resolve(this.loadOutcome)
  }

  modelFigures(): ReturnType<PoolAdmin['modelFigures']> {
    return []
  }

  hottestGpuC(): number | null {
    return null
  }

  unloadModel(name: string): Promise<number> {
    this.unloads.push(name)
    return Promise.resolve(1)
  }

  counts(): Counts {
    return this.numbers
  }

  createJoinLink(options: Parameters<PoolAdmin['createJoinLink']>[0]): Promise<string> {
    this.joinLinks.push(options)
    return Promise.resolve('https://pool.example:8444/join/gpe_token#ca=fingerprint')
  }

  #overview(record: AgentRecord, models: readonly ModelRecord[]): AgentOverview {
    const { capabilities: inventory } = record
    const health = new MachineHealth(inventory, record.health, start)
    return agentOverview({
      record,
      live: this.live,
      inventory,
      health,
      reliability: { reliability: record.reliability, reason: 'set by the test' },
      models: models.map(factsOf),
      now: start,
    })
  }
}

/** An API over the given store, with everything around it in the test's hands. */
export type TestApi = {
  readonly app: App
  readonly inference: ScriptedInference
  readonly pool: StaticPool
  readonly metrics: Metrics
  readonly time: ManualTime
  readonly dataDir: string
  /** Every line the server has logged. */
  readonly logLines: readonly string[]
  /** A request in process, by the operator unless the init says otherwise. */
  call(path: string, init?: RequestInit): Promise<Response>
  post(path: string, body: unknown, key?: string): Promise<Response>
  /** Starts listening on a free port of this machine. @returns its origin */
  listen(): string
  close(): Promise<void>
}

export async function testApi(
  store: Store,
  modelFiles?: Pick<ModelLibraryDeps, 'describeModel' | 'fetch'>,
): Promise<TestApi> {
  const dataDir = await mkdtemp(join(tmpdir(), 'gpupool-api-'))
  const time = new ManualTime(start)
  const inference = new ScriptedInference()
  const pool = new StaticPool(store)
  const logLines: string[] = []
  const sink = { write: (line: string) => void logLines.push(line) }
  const metrics = new Metrics(pool)
  const app = createApp({
    config: { dataDir },
    store,
    inference,
    poolAdmin: pool,
    clock: time,
    log: createLog({ level: 'debug', pretty: false, clock: time, sink }),
    metrics,
    downloads: new DownloadFiles([join(dataDir, 'download')]),
    adminKey,
    startTimer: time.startTimer,
    ...(modelFiles === undefined ? {} : { modelFiles }),
  })
  const authorization = `Bearer ${adminKey}`
  const call = (path: string, init: RequestInit = {}) =>
    app.handle(new Request(`http://localhost${path}`, { headers: { authorization }, ...init }))
  return {
    app,
    inference,
    pool,
    metrics,
    time,
    dataDir,
    logLines,
    call,
    post: (path, body, key = adminKey) =>
      call(path, {
        method: 'POST',
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      }),
    listen: () => {
      app.listen({ hostname: '127.0.0.1', port: 0 })
      return `http://127.0.0.1:${app.server?.port}`
    },
    close: async () => {
      await app.server?.stop(true)
      await rm(dataDir, { recursive: true })
    },
  }
}
