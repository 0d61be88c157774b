import { describe, expect, test } from 'bun:test'
import {
  agentId,
  gpu,
  inventoryOf,
  Pool,
  ready,
  shapeOf,
  spare,
  tiny,
} from '../../test/support/scheduler-pool.ts'
import type { SchedulerCommand } from './command.ts'
import type { AgentHealth, InstanceReport } from './event.ts'
import { priorities } from './priority.ts'

describe('whatever happens', () => {
  test('leases fit slots, nobody waits who could go, nothing new goes to the stopped or to a GPU that may not serve, each job is in one place, and after everything is released nothing is left', () => {
    for (let seed = 1; seed <= 60; seed++) runRandomPool(seed)
  })
})

const fallen: InstanceReport['status'] = {
  state: 'failed',
  error: { code: 'worker_died', message: 'it fell over' },
}

/** Random agents join, leave, fill up and fail; the promises are checked after every event. */
function runRandomPool(seed: number): void {
  let state = seed
  const random = (below: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
  const first = { ...tiny, shape: shapeOf(4, 2_000) }
  // One is another name of the first one's weights.
  const models = [
    first,
    { ...first, name: 'alias', contextTokens: 512 },
    { ...first, name: 'other', sha256: 'c'.repeat(64), slots: 1 },
  ]
  const pool = new Pool(models)
  const running = new Map<string, string>()
  /** Second agents, by job. */
  const racing = new Map<string, string>()
  const waiting = new Set<string>()
  const leasesBefore = new Map<string, number>()
  const checkPlaced = (command: Extract<SchedulerCommand, { type: 'lease' | 'load' }>) => {
    const agent = pool.scheduler.agent(command.agentId)
    expect(agent?.health.stopped).toBeNull()
    const mustNot = agent?.capacity.mustNotUseGpu ?? false
    if (command.type === 'load') expect(command.withoutGpu).toBe(mustNot)
    else if (mustNot) expect(agent?.instances.get(command.instanceId)?.withoutGpu).toBe(true)
  }
  const machines = [
    inventoryOf([]),
    inventoryOf([gpu()]),
    inventoryOf([gpu({ vramTotalMb: 4_000 })]),
    inventoryOf([gpu({ computeCapability: '6.1' })]),
    inventoryOf([], 4_000),
  ] as const
  const health = (): AgentHealth => ({
    stopped: random(3) === 0 ? { reason: 'hot', passing: random(2) === 0 } : null,
    slowed: random(2) === 0,
    unfitGpus: random(3) === 0 ? { 'GPU-1': 'hot too often' } : {},
  })
  const apply = (commands: readonly SchedulerCommand[]) => {
    take(commands)
    // A catalogue makes the scheduler look at everybody again, so whoever was overlooked would go now.
    expect(pool.handle({ type: 'catalogue', models })).toEqual([])
  }
  const take = (commands: readonly SchedulerCommand[]) => {
    for (const command of commands) {
      if (command.type === 'lease' || command.type === 'load') checkPlaced(command)
      if (command.type === 'lease') {
        waiting.delete(command.jobId)
        racing.delete(command.jobId)
        running.set(command.jobId, command.agentId)
      } else if (command.type === 'standby') {
        expect(running.get(command.jobId)).not.toBe(command.agentId)
        expect(racing.has(command.jobId)).toBe(false)
        racing.set(command.jobId, command.agentId)
      } else if (command.type === 'queued') {
        running.delete(command.jobId)
        racing.delete(command.jobId)
        waiting.add(command.jobId)
      } else if (command.type === 'refuse') {
        waiting.delete(command.jobId)
        running.delete(command.jobId)
        racing.delete(command.jobId)
      }
    }
    let leases = 0
    for (const agent of pool.scheduler.agents()) {
      let onAgent = 0
      for (const instance of agent.instances.values()) {
        // Those that were leased before the agent said that it has fewer slots stay; none is added to them.
        const before = leasesBefore.get(`${agent.id} ${instance.id}`) ?? 0
        expect(instance.leases.size).toBeLessThanOrEqual(Math.max(instance.slots, before))
        leasesBefore.set(`${agent.id} ${instance.id}`, instance.leases.size)
        onAgent += instance.leases.size
      }
      expect(agent.leaseCount).toBe(onAgent)
      leases += onAgent
    }
    expect(pool.scheduler.waiting).toBe(waiting.size)
    expect(leases).toBeLessThanOrEqual(running.size + racing.size)
  }
  let jobs = 0
  for (let step = 0; step < 300; step++) {
    pool.now += random(random(20) === 0 ? 40_000 : 2_000)
    const name = `agent-${random(5)}`
    const some = [...running.keys()][random(Math.max(1, running.size))]
    switch (random(13)) {
      case 12: {
        const second = some === undefined ? undefined : racing.get(some)
        if (some === undefined) break
        if (second === undefined) {
          apply(pool.race(some))
          break
        }
        const first = running.get(some) ?? ''
        const loser = random(2) === 0 ? first : second
        racing.delete(some)
        running.set(some, loser === first ? second : first)
        apply(pool.drop(some, loser, random(2) === 0 ? 'avoid' : null))
        break
      }
      case 0:
      case 1: {
        const lost = [...running].filter(([, agent]) => agent === name).map(([job]) => job)
        const inventory = machines[random(machines.length)] ?? machines[0]
        const held = ready(`i-${name}`, models[random(3)], 1 + random(3))
        const features = random(2) === 0 ? ['sampling'] : []
        const back = { inventory, features, instances: random(2) === 0 ? [held] : [] }
        if (random(2) === 0) apply(pool.up(name, back))
        else apply(pool.handle({ type: 'agent_down', agentId: agentId(name) }))
        for (const job of lost) apply(pool.retry(job))
        break
      }
      case 2:
        if (some !== undefined) {
          running.delete(some)
          racing.delete(some)
          apply(pool.release(some))
        }
        break
      case 3:
        if (some !== undefined) apply(pool.retry(some, random(2) === 0 ? 'avoid' : 'ban'))
        break
      case 4: {
        const late = random(2) === 0
        apply(pool.handle({ type: 'ping', agentId: agentId(name), late }))
        apply(pool.handle({ type: 'tick' }))
        apply(
          pool.handle({
            type: 'heartbeat',
            agentId: agentId(name),
            draining: random(8) === 0,
            latencyMs: random(100),
          }),
        )
        break
      }
      case 5: {
        // It may have fewer slots than it was asked for, or more.
        const status = random(3) === 0 ? fallen : ready('', tiny, 1 + random(3)).status
        const instances = pool.scheduler.agent(agentId(name))?.instances ?? new Map()
        const gone = [...instances.values()][0]
        if (gone === undefined) break
        const lost = [...gone.leases] as string[]
        const { id: instanceId, modelSha256 } = gone
        apply(
          pool.handle({
            type: 'instance',
            agentId: agentId(name),
            instanceId,
            modelSha256,
            status,
          }),
        )
        if (status === fallen) for (const job of lost) apply(pool.retry(job, 'avoid'))
        break
      }
      case 6:
        apply(pool.handle({ type: 'health', agentId: agentId(name), health: health() }))
        if (random(20) === 0) apply(pool.handle({ type: 'unload_model', model: 'tiny' }))
        if (random(20) === 0) {
          const spareInstanceIds = [spare(`s-${step}`)]
          apply(
            pool.handle({ type: 'load_model', model: 'other', agentId: null, spareInstanceIds }),
          )
        }
        break
      default: {
        const { name: model } = models[random(3)] ?? first
        const needs = random(4) === 0 ? (['sampling'] as const) : []
        const priority = priorities[random(3)] ?? 'normal'
        const whose = { tenant: `tenant-${random(4)}`, priority, costTokens: random(1_000) }
        apply(pool.request(`job-${jobs++}`, model, needs, whose))
      }
    }
  }
  while (running.size + waiting.size > 0) {
    const [job = ''] = [...running.keys(), ...waiting]
    running.delete(job)
    racing.delete(job)
    waiting.delete(job)
    apply(pool.release(job))
  }
  for (const agent of pool.scheduler.agents()) expect(agent.leaseCount).toBe(0)
  expect(pool.scheduler.waiting).toBe(0)
}
