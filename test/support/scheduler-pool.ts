import type { AgentId, InstanceId, JobId } from '../../src/protocol/ids.ts'
import type { SchedulerCommand } from '../../src/scheduler/command.ts'
import type { AgentFacts, InstanceReport, ModelFacts } from '../../src/scheduler/event.ts'
import { Scheduler } from '../../src/scheduler/scheduler.ts'

/** A scheduler that is driven by hand: events in, commands out, and time is the number that the test says it is. */

export const tiny: ModelFacts = {
  name: 'tiny',
  sha256: 'a'.repeat(64),
  sizeBytes: 5_000_000,
  contextTokens: 1024,
  slots: 2,
}
export const huge: ModelFacts = { ...tiny, name: 'huge', sha256: 'b'.repeat(64), sizeBytes: 70e9 }

export const agentId = (name: string) => name as AgentId
export const jobId = (name: string) => name as JobId
export const spare = (name: string) => name as InstanceId

export const agentFacts = (name: string, change: Partial<AgentFacts> = {}): AgentFacts => ({
  agentId: agentId(name),
  adminState: 'active',
  reliability: 0.5,
  instances: [],
  inventory: {
    hostname: name,
    os: 'linux',
    arch: 'x64',
    memoryTotalMb: 16_000,
    cpu: { name: 'test', physicalCores: 4, logicalCores: 8, features: [] },
    gpus: [],
  },
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

  request(job: string, model = 'tiny'): readonly SchedulerCommand[] {
    return this.handle({ type: 'request', jobId: jobId(job), model, spareInstanceId: spare(job) })
  }

  retry(job: string, formerAgent: 'avoid' | 'ban' = 'ban'): readonly SchedulerCommand[] {
    return this.handle({
      type: 'retry',
      jobId: jobId(job),
      spareInstanceId: spare(`${job}-again`),
      formerAgent,
    })
  }

  tick(laterMs: number): readonly SchedulerCommand[] {
    this.now += laterMs
    return this.handle({ type: 'tick' })
  }

  release(job: string): readonly SchedulerCommand[] {
    return this.handle({ type: 'release', jobId: jobId(job) })
  }
}

export const leasesOf = (commands: readonly SchedulerCommand[]) =>
  commands.flatMap(command =>
    command.type === 'lease' ? [`${command.jobId}@${command.agentId}`] : [],
  )
export const refusalOf = (commands: readonly SchedulerCommand[]) =>
  commands.find(command => command.type === 'refuse')?.error
