import { describe, expect, test } from 'bun:test'
import { createRandom } from '../../bench/harness/random.ts'
import { plainPlacement } from '../../test/support/plain-placement.ts'
import {
  agentId,
  gpu,
  inventoryOf,
  jobId,
  Pool,
  ready,
  shapeOf,
  spare,
  tiny,
} from '../../test/support/scheduler-pool.ts'
import type { AgentId } from '../protocol/ids.ts'
import type { ProtocolFeature } from '../protocol/version.ts'
import type { SchedulerCommand } from './command.ts'
import type { AgentHealth, InstanceReport, ModelFacts } from './event.ts'
import { newsKeptMax } from './fleet-news.ts'
import type { Wish } from './loaders.ts'
import { largerModelMb } from './model-needs.ts'
import { fallbacksMax } from './placement.ts'
import { trialEvery } from './trials.ts'

const first: ModelFacts = { ...tiny, shape: shapeOf(4, 2_000) }
const models: readonly ModelFacts[] = [
  first,
  { ...tiny, name: 'tiny-long', shape: shapeOf(4, 2_000), contextTokens: 2_048 },
  { ...tiny, name: 'middling', sha256: 'c'.repeat(64), shape: shapeOf(8, 1_500) },
  { ...tiny, name: 'large', sha256: 'd'.repeat(64), shape: shapeOf(12, 3_000) },
]
const machines = [
  inventoryOf([]),
  inventoryOf([gpu()]),
  inventoryOf([gpu({ vramTotalMb: 12_000 })]),
  inventoryOf([gpu({ name: 'NVIDIA H100', vramTotalMb: 81_559, computeCapability: '9.0' })]),
  inventoryOf([gpu({ computeCapability: '6.1' })]),
  inventoryOf([], 4_000),
] as const

type Job = { readonly model: ModelFacts; readonly wish: Wish & WishSets }
type WishSets = {
  readonly avoided: Set<AgentId>
  readonly banned: Set<AgentId>
  fallbacks: readonly AgentId[]
  readonly prefixes: readonly []
}

/** Random pools, and beside each the decisions that somebody takes who looks at everybody each time. */
class RandomPool {
  readonly #random: () => number
  readonly #pool = new Pool(models)
  readonly #leased = new Map<string, Job>()
  readonly #waiting = new Map<string, Job>()
  readonly #agents: number
  /** The same machine for all, and one model: then load, reliability and latency decide. */
  readonly #alike: boolean
  #jobs = 0
  #trials = 0

  constructor(seed: number, agents: number, alike = false) {
    this.#random = createRandom(seed)
    this.#agents = agents
    this.#alike = alike
  }

  step(): void {
    this.#pool.now += this.#below(3_000)
    const name = `agent-${this.#below(this.#agents)}`
    const kind = this.#below(20)
    if (kind < 8) this.#request()
    else if (kind < 11) this.#end()
    else if (kind < 13) this.#retry()
    else if (kind < 14) this.#connection(name)
    else if (kind < 17) this.#instance(name)
    else this.#news(name)
    this.#checkWaiting()
    expect(this.#trials).toBeLessThanOrEqual(this.#jobs / trialEvery)
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit)
  }

  #some<Item>(items: readonly Item[]): Item | undefined {
    return items[this.#below(items.length)]
  }

  #model(): ModelFacts {
    return (this.#alike ? undefined : this.#some(models)) ?? first
  }

  #machine() {
    return (this.#alike ? undefined : this.#some(machines)) ?? machines[1]
  }

  #plain({ model, wish }: Job) {
    return plainPlacement(
      this.#pool.scheduler.agents(),
      model,
      wish,
      this.#pool.now,
      largerModelMb(model, models),
    )
  }

  #request(): void {
    const needs: ProtocolFeature[] = this.#below(4) === 0 ? ['sampling'] : []
    const model = this.#model()
    const sets: WishSets = { avoided: new Set(), banned: new Set(), fallbacks: [], prefixes: [] }
    const job = { model, wish: { needs, ...sets } }
    const name = `job-${this.#jobs++}`
    const expected = this.#plain(job)
    this.#expect(name, job, expected, this.#pool.request(name, model.name, needs))
  }

  #retry(): void {
    const [name, job] = this.#some([...this.#leased]) ?? []
    if (name === undefined || job === undefined) return
    const agent = this.#agentOf(name)
    const formerAgent = this.#below(2) === 0 ? 'avoid' : 'ban'
    if (agent !== undefined) {
      const sets = job.wish
      ;(formerAgent === 'ban' ? sets.banned : sets.avoided).add(agent)
    }
    this.#leased.delete(name)
    // What the scheduler will find when it decides: the slot is free, everything else as it is.
    const lease = this.#leaseOf(name)
    lease?.instance.leases.delete(jobId(name))
    if (lease !== undefined) lease.agent.leaseCount--
    const expected = this.#plain(job)
    lease?.instance.leases.add(jobId(name))
    if (lease !== undefined) lease.agent.leaseCount++
    this.#expect(name, job, expected, this.#pool.retry(name, formerAgent))
  }

  #leaseOf(job: string) {
    for (const agent of this.#pool.scheduler.agents())
      for (const instance of agent.instances.values())
        if (instance.leases.has(jobId(job))) return { agent, instance } as never as Lease
    return undefined
  }

  readonly #agentsByJob = new Map<string, AgentId>()
  #agentOf(job: string): AgentId | undefined {
    return this.#agentsByJob.get(job)
  }

  #expect(
    name: string,
    job: Job,
    expected: ReturnType<typeof plainPlacement>,
    commands: readonly SchedulerCommand[],
  ): void {
    const own = commands.find(command => 'jobId' in command && command.jobId === name)
    const spares = [spare(name), spare(`${name}-again`)]
    const loads = commands.filter(
      command => command.type === 'load' && spares.includes(command.instanceId),
    ) as readonly Extract<SchedulerCommand, { type: 'load' }>[]
    const [agent, ...others] = expected.agents
    if (own?.type === 'lease' && this.#isTrial(own.agentId, expected.agents)) this.#trials++
    else if (expected.type === 'lease') {
      const fallbacks = others.slice(0, fallbacksMax)
      expect(own).toMatchObject({ type: 'lease', agentId: agent, fallbacks })
      expect(loads[0]?.agentId ?? null).toBe((expected.better ?? null) as AgentId | null)
    } else if (expected.type === 'load') {
      expect(own).toMatchObject({ type: 'lease', agentId: agent })
      expect(loads[0]?.agentId).toBe(agent as AgentId)
    } else expect(own?.type).toBe(expected.type === 'wait' ? 'queued' : 'refuse')
    if (own?.type === 'queued') this.#waiting.set(name, job)
    this.#take(commands, new Map([[name, job]]))
  }

  /** Another one of those who could, unproven and with nothing else to do. */
  #isTrial(agent: AgentId, able: readonly string[]): boolean {
    const { reliability = 1, leaseCount } = this.#pool.scheduler.agent(agent) ?? {}
    return able.indexOf(agent) > 0 && reliability < 0.5 && leaseCount === 1
  }

  /** Nobody who may go anywhere waits whom a look at everybody would place or refuse. */
  #checkWaiting(): void {
    for (const job of this.#waiting.values())
      if (job.wish.banned.size === 0 && job.wish.needs.length === 0)
        expect(this.#plain(job).type).toBe('wait')
  }

  #take(commands: readonly SchedulerCommand[], fresh: ReadonlyMap<string, Job> = new Map()): void {
    for (const command of commands) {
      if (command.type !== 'lease' && command.type !== 'refuse') continue
      const job = this.#waiting.get(command.jobId) ?? fresh.get(command.jobId)
      this.#waiting.delete(command.jobId)
      if (command.type !== 'lease' || job === undefined) continue
      this.#leased.set(command.jobId, job)
      this.#agentsByJob.set(command.jobId, command.agentId)
      job.wish.fallbacks = command.fallbacks
    }
  }

  #end(): void {
    const name = this.#some([...this.#leased.keys(), ...this.#waiting.keys()])
    if (name === undefined) return
    this.#leased.delete(name)
    this.#waiting.delete(name)
    this.#take(this.#pool.release(name))
  }

  #connection(name: string): void {
    const id = agentId(name)
    if (this.#below(3) === 0) {
      this.#take(this.#pool.handle({ type: 'agent_down', agentId: id }))
      return
    }
    const model = this.#model()
    const instances = this.#below(2) === 0 ? [this.#ready(`i-${name}`, model)] : []
    const features = this.#below(2) === 0 ? ['sampling'] : []
    const reliability = this.#random()
    const inventory = this.#machine()
    this.#take(this.#pool.up(name, { instances, features, reliability, inventory }))
  }

  #ready(instance: string, model: ModelFacts): InstanceReport {
    const report = ready(instance, model, 1 + this.#below(3))
    const contextTokens = this.#below(2) === 0 ? 1_024 : 2_048
    return { ...report, status: { ...report.status, contextTokens } as InstanceReport['status'] }
  }

  #instance(name: string): void {
    const instances = [...(this.#pool.scheduler.agent(agentId(name))?.instances.values() ?? [])]
    const known = this.#some(instances)
    const model = this.#model()
    const instanceId = known?.id ?? spare(`i-${name}`)
    const modelSha256 = known?.modelSha256 ?? model.sha256
    const error = { code: 'out_of_memory', message: 'no room' } as const
    const status =
      this.#below(4) === 0
        ? ({ state: 'failed', error } as const)
        : this.#below(6) === 0
          ? ({ state: 'unloaded' } as const)
          : this.#ready('', model).status
    const report = { instanceId, modelSha256, status }
    this.#take(this.#pool.handle({ type: 'instance', agentId: agentId(name), ...report }))
  }

  #news(name: string): void {
    const id = agentId(name)
    const chance = (one: number) => this.#below(one) === 0
    const health: AgentHealth = {
      stopped: chance(4) ? { reason: 'hot', passing: chance(2) } : null,
      slowed: chance(2),
      unfitGpus: chance(4) ? { 'GPU-1': 'hot too often' } : {},
    }
    const adminState = chance(3) ? 'draining' : 'active'
    const inventory = this.#machine()
    const latencyMs = this.#below(4) * 30
    const events = [
      { type: 'ping', agentId: id, late: chance(2) },
      { type: 'heartbeat', agentId: id, draining: chance(8), latencyMs },
      { type: 'heartbeat', agentId: id, draining: false, latencyMs },
      { type: 'health', agentId: id, health },
      { type: 'reliability', agentId: id, reliability: this.#random() },
      { type: 'admin_state', agentId: id, adminState },
      { type: 'inventory', agentId: id, inventory },
      { type: 'tick' },
      { type: 'tick' },
      { type: 'unload_model', model: 'middling' },
      {
        type: 'load_model',
        model: 'middling',
        agentId: id,
        spareInstanceIds: [spare(`o-${name}`)],
      },
      { type: 'catalogue', models },
    ] as const
    const event = this.#some(events)
    if (event !== undefined) this.#take(this.#pool.handle(event))
  }
}

type Lease = {
  readonly agent: { leaseCount: number }
  readonly instance: { readonly leases: Set<ReturnType<typeof jobId>> }
}

describe('every decision is the one of somebody who looks at all agents and sorts them', () => {
  test('in small pools, where everything is full, broken or away at times', () => {
    for (let seed = 1; seed <= 60; seed++) {
      const pool = new RandomPool(seed, 6)
      for (let step = 0; step < 250; step++) pool.step()
    }
  })

  test('in a larger one', () => {
    const pool = new RandomPool(99, 120)
    for (let step = 0; step < 4_000; step++) pool.step()
  })

  test('in one of equals, where load, reliability and latency decide', () => {
    const pool = new RandomPool(7, 40, true)
    for (let step = 0; step < 4_000; step++) pool.step()
  })

  test('also when more has happened than the news keep', () => {
    const pool = new Pool()
    pool.up('a', { instances: [ready('i-a', tiny, 1)] })
    pool.request('running')
    expect(pool.request('waiting')).toMatchObject([{ type: 'queued' }])
    pool.up('b', { adminState: 'pending' })
    pool.up('c', { adminState: 'pending' })
    const told = { type: 'heartbeat', agentId: agentId('c'), latencyMs: null } as const
    for (let news = 0; news <= newsKeptMax / 2; news++) {
      pool.handle({ ...told, draining: true })
      pool.handle({ ...told, draining: false })
    }
    const commands = pool.handle({
      type: 'admin_state',
      agentId: agentId('b'),
      adminState: 'active',
    })
    expect(commands.map(({ type }) => type)).toEqual(['load', 'lease'])
  })
})
