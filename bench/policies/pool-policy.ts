import type { AgentId, InstanceId, JobId } from '../../src/protocol/ids.ts'
import type { Inventory } from '../../src/protocol/gpu.ts'
import type { ModelFacts, SchedulerEvent } from '../../src/scheduler/event.ts'
import {
  afterCompletion,
  afterFailure,
  newReliabilityRecord,
  reliabilityOf,
  type ReliabilityRecord,
} from '../../src/scheduler/reliability.ts'
import { Scheduler } from '../../src/scheduler/scheduler.ts'
import { expectedTokenCost } from '../../src/scheduler/token-cost.ts'
import { uuid } from '../scheduler/fleet.ts'
import type { Job, Machine } from './machine.ts'
import type { Policy, Start } from './policies.ts'
import type { Request } from './trace.ts'

const facts = (name: Request['model'], sizeBytes: number): ModelFacts => ({
  name,
  sha256: name.padEnd(64, '0'),
  sizeBytes,
  shape: null,
  contextTokens: 8_192,
  slots: 4,
})
export const models = { small: facts('small', 4.9e9), large: facts('large', 14e9) } as const

/** The scheduler itself, told what the server would tell it. */
export class PoolPolicy implements Policy {
  readonly #scheduler = new Scheduler()
  readonly #machines: readonly Machine[]
  readonly #start: Start
  readonly #withPrefixes: boolean
  readonly #jobs = new Map<JobId, Job>()
  readonly #records = new Map<Machine, ReliabilityRecord>()
  #spares = 0

  constructor(machines: readonly Machine[], start: Start, withPrefixes: boolean) {
    this.#machines = machines
    this.#start = start
    this.#withPrefixes = withPrefixes
    this.#handle({ type: 'catalogue', models: Object.values(models) }, 0)
    for (const machine of machines) {
      this.#records.set(machine, newReliabilityRecord(0))
      this.#handle(agentUp(machine), 0)
    }
    this.tick(0)
  }

  arrive(job: Job, nowMs: number): void {
    const { id, model, tenant, prefixes, promptTokens } = job.request
    const jobId = uuid(id, 3) as JobId
    this.#jobs.set(jobId, job)
    const asked = { type: 'request', jobId, model, tenant: `${tenant}` } as const
    const spareInstanceId = this.#spare()
    const costTokens = expectedTokenCost(4 * promptTokens, null)
    const known = this.#withPrefixes ? prefixes : []
    this.#handle({ ...asked, costTokens, prefixes: known, spareInstanceId }, nowMs)
  }

  ended(job: Job, machine: Machine, failed: boolean, nowMs: number): void {
    const jobId = uuid(job.request.id, 3) as JobId
    const before = this.#records.get(machine) ?? newReliabilityRecord(nowMs)
    const record = failed ? afterFailure(before, nowMs) : afterCompletion(before, nowMs)
    this.#records.set(machine, record)
    const reliability = reliabilityOf(record, nowMs)
    this.#handle({ type: 'reliability', agentId: agentIdOf(machine), reliability }, nowMs)
    if (failed) {
      const spareInstanceId = this.#spare()
      this.#handle({ type: 'retry', jobId, spareInstanceId, formerAgent: 'ban' }, nowMs)
      return
    }
    this.#jobs.delete(jobId)
    const costTokens = job.request.promptTokens + 2 * job.request.answerTokens
    this.#handle({ type: 'release', jobId, costTokens }, nowMs)
  }

  tick(nowMs: number): void {
    for (const machine of this.#machines) {
      const { latencyMs } = machine.spec
      const agentId = agentIdOf(machine)
      this.#handle({ type: 'heartbeat', agentId, draining: false, latencyMs }, nowMs)
    }
  }

  #spare(): InstanceId {
    return uuid(this.#spares++, 4) as InstanceId
  }

  #handle(event: SchedulerEvent, nowMs: number): void {
    for (const command of this.#scheduler.handle(event, nowMs)) {
      if (command.type === 'refuse') throw new Error(command.error.message)
      if (command.type !== 'lease') continue
      const job = this.#jobs.get(command.jobId)
      const machine = this.#machines.find(each => agentIdOf(each) === command.agentId)
      if (job !== undefined && machine !== undefined) this.#start(job, machine, nowMs)
    }
  }
}

const agentIdOf = ({ spec }: Machine): AgentId => uuid(spec.id, 1) as AgentId

function agentUp(machine: Machine): SchedulerEvent {
  const { spec } = machine
  const held = Object.values(models).filter(({ name }) => machine.holds(name as Request['model']))
  return {
    type: 'agent_up',
    agentId: agentIdOf(machine),
    adminState: 'active',
    reliability: reliabilityOf(newReliabilityRecord(0), 0),
    health: null,
    inventory: inventoryOf(spec.card),
    instances: held.map(({ sha256, contextTokens }, at) => ({
      instanceId: uuid(spec.id * 2 + at, 2) as InstanceId,
      modelSha256: sha256,
      status: { state: 'ready', contextTokens, slots: spec.slots, loadMs: 1 },
    })),
  }
}

export const inventoryOf = (card: readonly [string, number] | null): Inventory => ({
  hostname: 'bench',
  os: 'linux',
  arch: 'x64',
  memoryTotalMb: 12_000,
  cpu: { name: 'bench', physicalCores: 8, logicalCores: 16, features: [] },
  gpus:
    card === null
      ? []
      : [
          {
            id: 'GPU-1',
            vendor: 'nvidia',
            kind: 'discrete',
            name: card[0],
            vramTotalMb: card[1],
            driverVersion: '570.124.06',
            computeCapability: '8.9',
            pciBusId: null,
            source: 'nvml',
          },
        ],
})
