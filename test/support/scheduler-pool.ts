import type { AgentId, InstanceId, JobId } from '../../src/protocol/ids.ts'
import type { ModelShape } from '../../src/models/model-shape-schema.ts'
import type { GpuInventory, Inventory } from '../../src/protocol/gpu.ts'
import type { ProtocolFeature } from '../../src/protocol/version.ts'
import type { SchedulerCommand } from '../../src/scheduler/command.ts'
import type {
  AgentFacts,
  InstanceReport,
  ModelFacts,
  SchedulerEvent,
} from '../../src/scheduler/event.ts'
import { Scheduler } from '../../src/scheduler/scheduler.ts'

/** A scheduler that is driven by hand: events in, commands out, and time is the number that the test says it is. */

export const tiny: ModelFacts = {
  name: 'tiny',
  sha256: 'a'.repeat(64),
  sizeBytes: 5_000_000,
  shape: null,
  contextTokens: 1024,
  slots: 2,
}
export const huge: ModelFacts = { ...tiny, name: 'huge', sha256: 'b'.repeat(64), sizeBytes: 70e9 }

export const agentId = (name: string) => name as AgentId
export const jobId = (name: string) => name as JobId
export const spare = (name: string) => name as InstanceId

export const gpu = (change: Partial<GpuInventory> = {}): GpuInventory => ({
  id: 'GPU-1',
  vendor: 'nvidia',
  kind: 'discrete',
  name: 'NVIDIA L4',
  vramTotalMb: 23_034,
  driverVersion: '570.124.06',
  computeCapability: '8.9',
  pciBusId: null,
  source: 'nvml',
  ...change,
})

export const inventoryOf = (gpus: GpuInventory[], memoryTotalMb = 64_000): Inventory => ({
  hostname: 'test',
  os: 'linux',
  arch: 'x64',
  memoryTotalMb,
  cpu: { name: 'test', physicalCores: 4, logicalCores: 8, features: [] },
  gpus,
})

/** A model whose layers, and its output, have so many MB of weights each; cache and computation are small beside it. */
export const shapeOf = (layers: number, layerMb: number): ModelShape => {
  const bytes = layerMb * 1024 ** 2
  const weights = Array.from({ length: layers + 1 }, (_, layer) => ({
    layer,
    bytes,
    relaidBytes: 0,
    start: layer * bytes,
    end: (layer + 1) * bytes,
    keptStart: layer * bytes,
    keptEnd: (layer + 1) * bytes,
    matrixBytes: 0,
    expertsBytes: 0,
  }))
  const layer = {
    attention: null,
    state: null,
    feedForward: 64,
    expertFeedForward: 0,
    expertsUsed: 0,
  }
  return {
    architecture: 'llama',
    measured: true,
    contextTokensTrained: 1_024,
    embedding: 64,
    vocabulary: 1_000,
    tiedEmbeddings: false,
    embeddingTable: null,
    experts: 0,
    windowTokens: null,
    layers: Array.from({ length: layers }, () => layer),
    weights,
  }
}

export const agentFacts = (name: string, change: Partial<AgentFacts> = {}): AgentFacts => ({
  agentId: agentId(name),
  adminState: 'active',
  reliability: 0.5,
  health: null,
  instances: [],
  inventory: inventoryOf([], 16_000),
  ...change,
})

export const ready = (instance: string, model = tiny, slots = 2): InstanceReport => ({
  instanceId: spare(instance),
  modelSha256: model.sha256,
  status: { state: 'ready', contextTokens: 1024, slots, loadMs: 1 },
})

export class Pool {
  readonly scheduler = new Scheduler()
  now = 1_000_000

  constructor(models: readonly ModelFacts[] = [tiny, huge]) {
    this.handle({ type: 'catalogue', models })
  }

  handle(event: Parameters<Scheduler['handle']>[0]): readonly SchedulerCommand[] {
    return this.scheduler.handle(event, this.now)
  }

  up(name: string, change: Partial<AgentFacts> = {}): readonly SchedulerCommand[] {
    return this.handle({ type: 'agent_up', ...agentFacts(name, change) })
  }

  request(
    job: string,
    model = 'tiny',
    needs: readonly ProtocolFeature[] = [],
    change: Partial<Extract<SchedulerEvent, { type: 'request' }>> = {},
  ): readonly SchedulerCommand[] {
    return this.handle({
      type: 'request',
      jobId: jobId(job),
      model,
      tenant: 'somebody',
      costTokens: 100,
      needs,
      spareInstanceId: spare(job),
      ...change,
    })
  }

  retry(job: string, formerAgent: 'avoid' | 'ban' = 'ban'): readonly SchedulerCommand[] {
    return this.handle({
      type: 'retry',
      jobId: jobId(job),
      spareInstanceId: spare(`${job}-again`),
      formerAgent,
    })
  }

  race(job: string): readonly SchedulerCommand[] {
    return this.handle({ type: 'race', jobId: jobId(job) })
  }

  drop(
    job: string,
    agent: string,
    formerAgent: 'avoid' | 'ban' | null = null,
  ): readonly SchedulerCommand[] {
    return this.handle({ type: 'drop', jobId: jobId(job), agentId: agentId(agent), formerAgent })
  }

  tick(laterMs: number): readonly SchedulerCommand[] {
    this.now += laterMs
    return this.handle({ type: 'tick' })
  }

  release(job: string, failed = false): readonly SchedulerCommand[] {
    return this.handle({ type: 'release', jobId: jobId(job), failed })
  }
}

export const leasesOf = (commands: readonly SchedulerCommand[]) =>
  commands.flatMap(command =>
    command.type === 'lease' ? [`${command.jobId}@${command.agentId}`] : [],
  )
export const refusalOf = (commands: readonly SchedulerCommand[]) =>
  commands.find(command => command.type === 'refuse')?.error
