import { describe, expect, test } from 'bun:test'
import { limits } from '../protocol/limits.ts'
import type { AgentId, InstanceId, JobId } from '../protocol/ids.ts'
import type { SchedulerCommand } from './command.ts'
import type { AgentFacts, InstanceReport, ModelFacts } from './event.ts'
import { Scheduler } from './scheduler.ts'
import { waitingLineLengthMax, waitingTimeMaxMs } from './waiting-line.ts'

// Everything is driven by hand: events in, commands out, and time is the number that the test says it is.

const tiny: ModelFacts = {
  name: 'tiny',
  sha256: 'a'.repeat(64),
  sizeBytes: 5_000_000,
  contextTokens: 1024,
  slots: 2,
}
const huge: ModelFacts = { ...tiny, name: 'huge', sha256: 'b'.repeat(64), sizeBytes: 70e9 }

const agentId = (name: string) => name as AgentId
const jobId = (name: string) => name as JobId
const spare = (name: string) => name as InstanceId

const agentFacts = (name: string, change: Partial<AgentFacts> = {}): AgentFacts => ({
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

const ready = (instance: string, model = tiny, slots = 2): InstanceReport => ({
  instanceId: spare(instance),
  modelSha256: model.sha256,
  status: { state: 'ready', contextTokens: 1024, slots, loadMs: 1 },
})

class Pool {
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

const leasesOf = (commands: readonly SchedulerCommand[]) =>
  commands.flatMap(command =>
    command.type === 'lease' ? [`${command.jobId}@${command.agentId}`] : [],
  )
const refusalOf = (commands: readonly SchedulerCommand[]) =>
  commands.find(command => command.type === 'refuse')?.error

describe('placing a request', () => {
  test('goes to the least loaded agent that holds the model, with the others as fallbacks', () => {
    const pool = new Pool()
    pool.up('a', { instances: [ready('i-a')] })
    pool.up('b', { instances: [ready('i-b')] })
    expect(leasesOf(pool.request('1'))).toEqual(['1@a'])
    const second = pool.request('2')
    expect(leasesOf(second)).toEqual(['2@b'])
    expect(second).toContainEqual({
      type: 'lease',
      jobId: jobId('2'),
      agentId: agentId('b'),
      instanceId: spare('i-b'),
      ready: true,
      contextTokens: 1024,
      fallbacks: [agentId('a')],
    })
  })

  test('loads the model where nobody holds it, and leases there before it is ready', () => {
    const pool = new Pool()
    pool.up('a')
    expect(pool.request('1').map(command => command.type)).toEqual(['load', 'lease'])
    expect(leasesOf(pool.request('2'))).toEqual(['2@a'])
  })

  test('prefers an agent with the model in memory to an emptier one without it', () => {
    const pool = new Pool()
    pool.up('a')
    pool.up('b', { instances: [ready('i-b')], reliability: 0.1 })
    expect(leasesOf(pool.request('1'))).toEqual(['1@b'])
  })

  test('among equally loaded agents the more reliable one gets it', () => {
    const pool = new Pool()
    pool.up('a', { instances: [ready('i-a')], reliability: 0.3 })
    pool.up('b', { instances: [ready('i-b')], reliability: 0.9 })
    expect(leasesOf(pool.request('1'))).toEqual(['1@b'])
  })

  test('loads on a second, idle agent when every slot of the first is busy', () => {
    const pool = new Pool()
    pool.up('a', { instances: [ready('i-a')] })
    pool.up('b')
    pool.request('1')
    pool.request('2')
    expect(pool.request('3').map(command => command.type)).toEqual(['load', 'lease'])
  })

  test('an unknown model is refused by name', () => {
    const pool = new Pool()
    pool.up('a')
    expect(refusalOf(pool.request('1', 'nonsense'))).toMatchObject({ code: 'model_not_found' })
  })

  test('says with figures why nobody can', () => {
    const pool = new Pool()
    expect(refusalOf(pool.request('1'))?.message).toContain('no agent is connected')
    pool.up('a')
    pool.up('b', { adminState: 'pending' })
    const error = refusalOf(pool.request('2', 'huge'))
    expect(error?.code).toBe('no_capable_agent')
    expect(error?.message).toContain('needs 67270 MB with headroom, the largest memory is 16000 MB')
    expect(error?.message).toContain('1 × pending by the operator')
  })

  test('an agent that is draining, by its owner or the operator, or revoked gets nothing new', () => {
    const cases: ((pool: Pool) => void)[] = [
      pool =>
        pool.handle({
          type: 'heartbeat',
          agentId: agentId('a'),
          draining: true,
          latencyMs: null,
        }),
      pool => pool.handle({ type: 'admin_state', agentId: agentId('a'), adminState: 'draining' }),
      pool => pool.handle({ type: 'admin_state', agentId: agentId('a'), adminState: 'revoked' }),
    ]
    for (const make of cases) {
      const pool = new Pool()
      pool.up('a', { instances: [ready('i-a')] })
      make(pool)
      expect(refusalOf(pool.request('1'))).toMatchObject({ code: 'no_capable_agent' })
    }
  })
})

describe('waiting', () => {
  test('leases never exceed slots; a released slot goes to the one that waits longest', () => {
    const pool = new Pool()
    pool.up('a', { instances: [ready('i-a')] })
    pool.request('1')
    pool.request('2')
    expect(pool.request('3')).toEqual([{ type: 'queued', jobId: jobId('3'), position: 1 }])
    expect(pool.request('4')).toEqual([{ type: 'queued', jobId: jobId('4'), position: 2 }])
    expect(leasesOf(pool.release('1'))).toEqual(['3@a'])
    expect(leasesOf(pool.release('2'))).toEqual(['4@a'])
    expect(pool.scheduler.waiting).toBe(0)
  })

  test('a client that leaves the line makes room without moving anybody else', () => {
    const pool = new Pool()
    pool.up('a', { instances: [ready('i-a')] })
    for (const job of ['1', '2', '3', '4']) pool.request(job)
    expect(pool.release('3')).toEqual([])
    expect(leasesOf(pool.release('1'))).toEqual(['4@a'])
  })

  test('the line is bounded', () => {
    const pool = new Pool()
    pool.up('a', { instances: [ready('i-a', tiny, 1)] })
    pool.request('running')
    for (let i = 0; i < waitingLineLengthMax; i++) pool.request(`w${i}`)
    expect(refusalOf(pool.request('one too many'))).toMatchObject({ code: 'queue_full' })
  })

  test('nobody waits for ever', () => {
    const pool = new Pool()
    pool.up('a', { instances: [ready('i-a', tiny, 1)] })
    pool.request('running')
    pool.request('waiting')
    pool.now += waitingTimeMaxMs
    pool.handle({ type: 'heartbeat', agentId: agentId('a'), draining: false, latencyMs: 1 })
    expect(refusalOf(pool.handle({ type: 'tick' }))).toMatchObject({ code: 'timeout' })
  })

  test('when the last agent that could serve is gone for good, those that wait are told', () => {
    const pool = new Pool()
    pool.up('a', { instances: [ready('i-a', tiny, 1)] })
    pool.request('running')
    pool.request('waiting')
    expect(refusalOf(pool.handle({ type: 'agent_down', agentId: agentId('a') }))).toBeUndefined()
    expect(refusalOf(pool.tick(9_999))).toBeUndefined()
    expect(refusalOf(pool.tick(1))).toMatchObject({ code: 'no_capable_agent' })
  })

  test('a hiccup of the only agent keeps everybody in line: a late pong, a connection made anew', () => {
    const pool = new Pool()
    pool.up('a', { instances: [ready('i-a', tiny, 1)] })
    pool.request('1')
    pool.request('2')
    expect(pool.handle({ type: 'ping', agentId: agentId('a'), late: true })).toMatchObject([
      { type: 'standing', standing: { liveness: 'yellow' } },
    ])
    expect(pool.request('3')).toMatchObject([{ type: 'queued', position: 2 }])
    pool.handle({ type: 'ping', agentId: agentId('a'), late: false })
    pool.handle({ type: 'agent_down', agentId: agentId('a') })
    expect(pool.retry('1', 'avoid')).toMatchObject([{ type: 'queued', position: 1 }])
    expect(leasesOf(pool.up('a', { instances: [ready('i-a', tiny, 1)] }))).toEqual(['1@a'])
    expect(leasesOf(pool.release('1'))).toEqual(['2@a'])
  })

  test('an interrupted stream goes before those that have not begun, also when the line is full', () => {
    const pool = new Pool()
    pool.up('a', { instances: [ready('i-a', tiny, 1)] })
    pool.up('b', { instances: [ready('i-b', tiny, 1)] })
    pool.request('1')
    pool.request('2')
    for (let i = 0; i < waitingLineLengthMax; i++) pool.request(`w${i}`)
    expect(pool.retry('1', 'avoid')).toMatchObject([{ type: 'lease', jobId: jobId('1') }])
    pool.handle({ type: 'ping', agentId: agentId('a'), late: true })
    expect(pool.retry('1', 'ban')).toMatchObject([{ type: 'queued', position: 1 }])
    expect(leasesOf(pool.release('2'))).toEqual(['1@b'])
  })

  test('one that may not go where there is room does not block those behind it', () => {
    const pool = new Pool()
    pool.up('a', { instances: [ready('i-a', tiny, 1)] })
    pool.up('b', { instances: [ready('i-b', tiny, 1)] })
    pool.request('1')
    pool.request('2')
    pool.request('3')
    expect(pool.retry('1', 'ban').map(command => command.type)).toEqual(['queued', 'lease'])
  })
})

describe('failures', () => {
  test('a retry goes to another agent and never back to one that failed the job', () => {
    const pool = new Pool()
    pool.up('a', { instances: [ready('i-a')] })
    pool.up('b', { instances: [ready('i-b')] })
    pool.request('1')
    expect(leasesOf(pool.retry('1'))).toEqual(['1@b'])
    expect(refusalOf(pool.retry('1'))?.message).toContain('2 × failed this request')
  })

  test('a model that did not load is let go there, and not asked for again for a growing while', () => {
    const pool = new Pool()
    pool.up('a')
    pool.request('1')
    const fails = (instance: string) =>
      pool.handle({
        type: 'instance',
        agentId: agentId('a'),
        instanceId: spare(instance),
        modelSha256: tiny.sha256,
        status: { state: 'failed', error: { code: 'out_of_memory', message: 'no room' } },
      })
    expect(fails('1')).toEqual([{ type: 'unload', agentId: agentId('a'), instanceId: spare('1') }])
    expect(refusalOf(pool.request('2'))?.message).toContain('could not load it (no room)')
    pool.now += 30_000
    expect(pool.request('3').map(command => command.type)).toEqual(['load', 'lease'])
    fails('3')
    pool.now += 30_000
    expect(refusalOf(pool.request('4'))?.message).toContain('asked again in 30 s')
  })

  test('an instance that was told to unload gets nothing new', () => {
    const pool = new Pool()
    pool.up('a', { instances: [ready('i-a')] })
    expect(pool.handle({ type: 'unload_model', model: 'tiny' })).toHaveLength(1)
    expect(pool.handle({ type: 'unload_model', model: 'tiny' })).toHaveLength(0)
    expect(pool.request('1')).toMatchObject([{ type: 'load' }, { type: 'lease', instanceId: '1' }])
  })

  test('a model that leaves the catalogue is unloaded, and its interrupted jobs do not go on with other weights', () => {
    const pool = new Pool()
    pool.up('a', { instances: [ready('i-a')] })
    pool.up('b', { instances: [ready('i-b')] })
    pool.request('1')
    const other = { ...tiny, sha256: 'd'.repeat(64) }
    expect(pool.handle({ type: 'catalogue', models: [other] })).toHaveLength(2)
    expect(refusalOf(pool.retry('1'))).toMatchObject({ code: 'model_not_found' })
  })

  test('two names of one file with different contexts do not share an instance that is too small', () => {
    const long = { ...tiny, name: 'tiny-long', contextTokens: 4096 }
    const pool = new Pool([tiny, long])
    pool.up('a', { instances: [ready('i-a')] })
    expect(pool.request('1', 'tiny')).toMatchObject([{ instanceId: 'i-a' }])
    expect(pool.request('2', 'tiny-long').map(command => command.type)).toEqual(['load', 'lease'])
    expect(pool.request('3', 'tiny-long')).toMatchObject([{ type: 'lease', instanceId: '2' }])
  })

  test('an agent that was only interrupted is used again when there is no other', () => {
    const pool = new Pool()
    pool.up('a', { instances: [ready('i-a')] })
    pool.request('1')
    expect(leasesOf(pool.retry('1', 'avoid'))).toEqual(['1@a'])
    pool.up('b', { instances: [ready('i-b')], reliability: 0.1 })
    expect(leasesOf(pool.retry('1', 'avoid'))).toEqual(['1@b'])
  })

  test('an agent that comes back with its model is used at once', () => {
    const pool = new Pool()
    pool.up('a', { instances: [ready('i-a')] })
    pool.handle({ type: 'agent_down', agentId: agentId('a') })
    expect(pool.request('1')).toMatchObject([{ type: 'queued' }])
    expect(leasesOf(pool.up('a', { instances: [ready('i-a')] }))).toEqual(['1@a'])
    expect(leasesOf(pool.request('2'))).toEqual(['2@a'])
  })

  test('a model that left the catalogue is unloaded from an agent that still holds it', () => {
    const pool = new Pool([huge])
    expect(pool.up('a', { instances: [ready('i-a')] })).toContainEqual({
      type: 'unload',
      agentId: agentId('a'),
      instanceId: spare('i-a'),
    })
  })

  test('the work of an agent is told to move at one missed heartbeat, the agent is let go at three', () => {
    const pool = new Pool()
    pool.up('a', { instances: [ready('i-a')] })
    const { heartbeatIntervalMs, heartbeatGraceMs } = limits
    pool.now += heartbeatIntervalMs + heartbeatGraceMs - 1
    expect(pool.handle({ type: 'tick' })).toEqual([])
    pool.now += 1
    expect(pool.handle({ type: 'tick' })).toEqual([
      {
        type: 'standing',
        agentId: agentId('a'),
        standing: { liveness: 'red', status: 'degraded' },
      },
    ])
    pool.now += 2 * heartbeatIntervalMs
    expect(pool.handle({ type: 'tick' }).map(command => command.type)).toEqual([
      'standing',
      'disconnect',
    ])
  })

  test('a heartbeat brings a degraded agent back', () => {
    const pool = new Pool()
    pool.up('a', { instances: [ready('i-a')] })
    pool.now += limits.heartbeatIntervalMs + limits.heartbeatGraceMs
    pool.handle({ type: 'tick' })
    const heartbeat = {
      type: 'heartbeat',
      agentId: agentId('a'),
      draining: false,
      latencyMs: 3,
    } as const
    expect(pool.handle(heartbeat)).toEqual([
      {
        type: 'standing',
        agentId: agentId('a'),
        standing: { liveness: 'green', status: 'online' },
      },
    ])
    expect(leasesOf(pool.request('1'))).toEqual(['1@a'])
  })
})

describe('whatever happens', () => {
  test('leases fit slots, each job is in one place, and after everything is released nothing is left', () => {
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
  const pool = new Pool()
  const running = new Map<string, string>()
  const waiting = new Set<string>()
  const apply = (commands: readonly SchedulerCommand[]) => {
    for (const command of commands) {
      if (command.type === 'lease') {
        waiting.delete(command.jobId)
        running.set(command.jobId, command.agentId)
      } else if (command.type === 'queued') {
        running.delete(command.jobId)
        waiting.add(command.jobId)
      } else if (command.type === 'refuse') {
        waiting.delete(command.jobId)
        running.delete(command.jobId)
      }
    }
    let leases = 0
    for (const agent of pool.scheduler.agents()) {
      let onAgent = 0
      for (const instance of agent.instances.values()) {
        expect(instance.leases.size).toBeLessThanOrEqual(instance.slots)
        onAgent += instance.leases.size
      }
      expect(agent.leaseCount).toBe(onAgent)
      leases += onAgent
    }
    expect(pool.scheduler.waiting).toBe(waiting.size)
    expect(leases).toBeLessThanOrEqual(running.size)
  }
  let jobs = 0
  for (let step = 0; step < 300; step++) {
    pool.now += random(2_000)
    const name = `agent-${random(5)}`
    const some = [...running.keys()][random(Math.max(1, running.size))]
    switch (random(12)) {
      case 0:
      case 1: {
        const lost = [...running].filter(([, agent]) => agent === name).map(([job]) => job)
        const back = random(2) === 0 ? { instances: [ready(`i-${name}`)] } : {}
        if (random(2) === 0) apply(pool.up(name, back))
        else apply(pool.handle({ type: 'agent_down', agentId: agentId(name) }))
        for (const job of lost) apply(pool.retry(job))
        break
      }
      case 2:
        if (some !== undefined) {
          running.delete(some)
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
        const status = random(3) === 0 ? fallen : ready('').status
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
        if (random(20) === 0) apply(pool.handle({ type: 'unload_model', model: 'tiny' }))
        break
      default:
        apply(pool.request(`job-${jobs++}`))
    }
  }
  while (running.size + waiting.size > 0) {
    const [job = ''] = [...running.keys(), ...waiting]
    running.delete(job)
    waiting.delete(job)
    apply(pool.release(job))
  }
  for (const agent of pool.scheduler.agents()) expect(agent.leaseCount).toBe(0)
  expect(pool.scheduler.waiting).toBe(0)
}
