import { describe, expect, test } from 'bun:test'
import { newInstanceId } from '../protocol/ids.ts'
import { limits } from '../protocol/limits.ts'
import { agentLimits } from './agent-limits.ts'
import { heldUpExit } from './engine/engine.ts'
import type { InstanceCommand } from './instance-event.ts'
import {
  gib,
  loadOf,
  assignOf,
  Bench,
  ready,
  died,
  startedEngine,
  brief,
} from './instances-for-tests.ts'

const a = newInstanceId()
const b = newInstanceId()

describe('loading', () => {
  test('fetches the file, starts an engine, and reports every step', () => {
    const bench = new Bench()
    expect(brief(bench.order(loadOf(a)))).toEqual(['instance loading', 'fetch_file'])
    const commands = bench.fileReady(a)
    expect(brief(commands)).toEqual(['instance loading', 'start_engine'])
    expect(commands[1]).toEqual({
      type: 'start_engine',
      engine: 1,
      model: { modelPath: '/m.gguf', contextTokens: 256, slots: 2, withoutGpu: false },
    })
    expect(bench.word(1, ready)).toEqual([
      {
        type: 'say',
        message: {
          type: 'instance',
          instanceId: a,
          modelSha256: 'a'.repeat(64),
          status: { state: 'ready', contextTokens: 256, slots: 2, loadMs: 40 },
        },
      },
    ])
  })

  test('tells its progress in steps, never backwards, download included', () => {
    const bench = new Bench()
    bench.order(loadOf(a))
    const told: unknown[] = []
    const note = (commands: readonly InstanceCommand[]) => {
      for (const command of commands)
        if (command.type === 'say' && command.message.type === 'instance')
          told.push(Reflect.get(command.message.status, 'progress'))
    }
    for (let i = 0; i <= 100; i++)
      note(bench.handle({ type: 'file_progress', instanceId: a, progress: i / 100 }))
    note(bench.fileReady(a))
    for (let i = 0; i <= 100; i++) note(bench.word(1, { type: 'loading', progress: i / 100 }))
    expect(told.length).toBeLessThan(50)
    expect(told).toEqual(told.toSorted((x, y) => Number(x) - Number(y)))
    expect(told.at(-1)).toBeCloseTo(1)
  })

  test('an instance that is there already is told again and not loaded twice', () => {
    const bench = new Bench()
    bench.order(loadOf(a))
    expect(brief(bench.order(loadOf(a)))).toEqual(['instance loading'])
    bench.word(startedEngine(bench.fileReady(a)), ready)
    expect(brief(bench.order(loadOf(a)))).toEqual(['instance ready'])
  })

  test('the same model under another id is a second engine', () => {
    const bench = new Bench()
    expect(bench.ready(a)).not.toBe(bench.ready(b))
    expect(bench.instances.held).toHaveLength(2)
  })

  test('is refused with figures when the memory is not there, before the download and after it', () => {
    const bench = new Bench()
    expect(bench.order(loadOf(a), gib)[1]).toEqual({
      type: 'say',
      message: expect.objectContaining({
        status: {
          state: 'failed',
          error: {
            code: 'out_of_memory',
            message: 'the model needs 1536 MB of memory and 1024 MB are free',
          },
        },
      }),
    })
    bench.order(loadOf(b))
    expect(brief(bench.fileReady(b, gib))).toEqual(['instance failed'])
  })

  test('once the file is here, what its header says decides and not its size', () => {
    const bench = new Bench()
    bench.order(loadOf(a), 4 * gib)
    expect(brief(bench.fileReady(a, 4 * gib, 4 * gib))).toEqual(['instance failed'])
  })

  test('counts the models that are loaded already, and in use, as used memory', () => {
    const bench = new Bench()
    bench.ready(a, 'a')
    bench.order(assignOf(a, 1))
    const left = 2 * gib
    bench.order(loadOf(b, 'b'), left)
    expect(brief(bench.fileReady(b, left))).toEqual(['look_for_room'])
    expect(brief(bench.order(loadOf(newInstanceId(), 'a'), left))).toEqual([
      'instance loading',
      'fetch_file',
    ])
  })

  test('that fails is reported with the reason, ends the waiting jobs, and can be tried again', () => {
    const bench = new Bench()
    bench.order(loadOf(a))
    bench.order(assignOf(a, 1))
    const error = { code: 'model_file_invalid', message: 'x' } as const
    expect(brief(bench.handle({ type: 'file_failed', instanceId: a, error }))).toEqual([
      'failed 1 model_file_invalid',
      'instance failed',
    ])
    expect(brief(bench.order(assignOf(a, 2)))).toEqual(['failed 2 agent_refused'])
    expect(brief(bench.order(loadOf(a)))).toEqual(['instance loading', 'fetch_file'])
    const engine = startedEngine(bench.fileReady(a))
    const loadFailed = { code: 'model_load_failed', message: 'x' } as const
    expect(brief(bench.word(engine, { type: 'load_failed', error: loadFailed }))).toEqual([
      'close_engine',
      'instance failed',
    ])
  })

  test('is refused beyond the number of models an agent may hold', () => {
    const bench = new Bench()
    for (let i = 0; i < limits.instancesPerAgentMax; i++) bench.order(loadOf(newInstanceId()))
    expect(brief(bench.order(loadOf(newInstanceId())))).toEqual(['instance failed'])
    expect(bench.instances.held).toHaveLength(limits.instancesPerAgentMax)
  })
})

describe('jobs', () => {
  test('run in free slots and wait in order for the next one', () => {
    const bench = new Bench()
    const engine = bench.ready(a)
    expect([1, 2, 3, 4].flatMap(stream => brief(bench.order(assignOf(a, stream))))).toEqual([
      'run 1',
      'run 2',
    ])
    const finished = { type: 'finished', stream: 2, attempt: 0, reason: 'stop', tokens: 3 } as const
    expect(brief(bench.word(engine, finished))).toEqual(['finished', 'run 3'])
    const error = { code: 'internal', message: 'x' } as const
    expect(brief(bench.word(engine, { type: 'failed', stream: 1, attempt: 0, error }))).toEqual([
      'failed 1 internal',
      'run 4',
    ])
  })

  test('that come while the model loads run when it is ready', () => {
    const bench = new Bench()
    bench.order(loadOf(a))
    expect(brief(bench.order(assignOf(a, 1)))).toEqual([])
    const engine = startedEngine(bench.fileReady(a))
    bench.order(assignOf(a, 2))
    expect(brief(bench.word(engine, ready))).toEqual(['instance ready', 'run 1', 'run 2'])
  })

  test('are refused when too many wait', () => {
    const bench = new Bench()
    bench.order(loadOf(a))
    for (let i = 0; i < agentLimits.jobsWaitingPerInstanceMax; i++)
      expect(bench.order(assignOf(a, i))).toEqual([])
    expect(brief(bench.order(assignOf(a, 999)))).toEqual(['failed 999 agent_refused'])
  })

  test('for a model that is not there, or while draining, are refused; what runs is finished', () => {
    const bench = new Bench()
    const engine = bench.ready(a)
    expect(brief(bench.order(assignOf(b, 1)))).toEqual(['failed 1 model_unloaded'])
    bench.order(assignOf(a, 2))
    bench.order({ type: 'drain', resume: false })
    expect(bench.instances.draining).toBe(true)
    expect(brief(bench.order(assignOf(a, 3)))).toEqual(['failed 3 agent_refused'])
    const finished = { type: 'finished', stream: 2, attempt: 0, reason: 'stop', tokens: 3 } as const
    expect(brief(bench.word(engine, finished))).toEqual(['finished'])
    bench.order({ type: 'drain', resume: true })
    expect(brief(bench.order(assignOf(a, 4)))).toEqual(['run 4'])
  })

  test('assigned twice run once', () => {
    const bench = new Bench()
    bench.ready(a)
    bench.order(assignOf(a, 1))
    expect(brief(bench.order(assignOf(a, 1)))).toEqual([])
    expect(brief(bench.order(assignOf(a, 1, 1)))).toEqual(['run 1'])
  })

  test('are cancelled without a word, waiting or running, and their slot is free', () => {
    const bench = new Bench()
    const engine = bench.ready(a)
    for (const stream of [1, 2, 3, 4]) bench.order(assignOf(a, stream))
    const cancel = (stream: number) => bench.order({ type: 'cancel', stream, attempt: 0 })
    expect(brief(cancel(3))).toEqual([])
    expect(brief(cancel(1))).toEqual(['cancel 1', 'run 4'])
    expect(brief(cancel(77))).toEqual([])
    const finished = { type: 'finished', stream: 1, attempt: 0, reason: 'stop', tokens: 3 } as const
    expect(bench.word(engine, finished)).toEqual([])
  })
})

describe('a worker that dies', () => {
  test('fails each of its jobs, is reported as loading, and is started again at once', () => {
    const bench = new Bench()
    const engine = bench.ready(a)
    for (const stream of [1, 2, 3]) bench.order(assignOf(a, stream))
    const commands = bench.word(engine, died)
    expect(brief(commands)).toEqual([
      'failed 1 worker_died',
      'failed 2 worker_died',
      'instance loading',
      'start_engine',
    ])
    expect(brief(bench.word(startedEngine(commands), ready))).toEqual(['instance ready', 'run 3'])
    expect(bench.word(engine, died)).toEqual([])
  })

  test('again and again stays down until the server loads the model again', () => {
    const bench = new Bench()
    let engine = bench.ready(a)
    for (let i = 0; i < agentLimits.workerDeathsMax; i++) {
      bench.now += 1_000
      engine = startedEngine(bench.word(engine, died))
    }
    bench.order(assignOf(a, 1))
    const commands = bench.word(engine, died)
    expect(brief(commands)).toEqual(['failed 1 model_load_failed', 'instance failed'])
    expect(brief(bench.order(loadOf(a)))).toEqual(['instance loading', 'fetch_file'])
    expect(brief(bench.word(startedEngine(bench.fileReady(a)), died))).toContain('start_engine')
  })

  test('because a client’s grammar held it up says nothing against file or machine', () => {
    const bench = new Bench()
    let engine = bench.ready(a)
    const error = { code: 'model_unloaded', message: 'begun anew' } as const
    for (let i = 0; i < 3 * agentLimits.workerDeathsMax; i++) {
      bench.order(assignOf(a, i))
      const commands = bench.word(engine, { type: 'died', error, exit: heldUpExit })
      expect(brief(commands)).toContain(`failed ${i} model_unloaded`)
      expect(commands.some(command => command.type === 'quarantine')).toBe(false)
      engine = startedEngine(commands)
      bench.word(engine, ready)
    }
  })

  test('now and then is started again every time', () => {
    const bench = new Bench()
    let engine = bench.ready(a)
    for (let i = 0; i < 20; i++) {
      bench.now += agentLimits.workerDeathWindowMs / 2
      engine = startedEngine(bench.word(engine, died))
    }
  })
})

describe('unloading', () => {
  test('ends the jobs, closes the engine, and is reported when the memory is free', () => {
    const bench = new Bench()
    const engine = bench.ready(a)
    for (const stream of [1, 2, 3]) bench.order(assignOf(a, stream))
    expect(brief(bench.order({ type: 'unload', instanceId: a }))).toEqual([
      'failed 1 model_unloaded',
      'failed 2 model_unloaded',
      'failed 3 model_unloaded',
      'close_engine',
    ])
    expect(brief(bench.handle({ type: 'engine_closed', engine }))).toEqual(['instance unloaded'])
    expect(bench.instances.held).toEqual([])
    expect(bench.order({ type: 'unload', instanceId: a })).toEqual([])
  })

  test('stops a download', () => {
    const bench = new Bench()
    bench.order(loadOf(a))
    expect(brief(bench.order({ type: 'unload', instanceId: a }))).toEqual([
      'abandon_fetch',
      'instance unloaded',
    ])
    expect(bench.fileReady(a)).toEqual([])
  })

  test('that is overtaken by a new load of the same instance is not reported', () => {
    const bench = new Bench()
    const engine = bench.ready(a)
    bench.order({ type: 'unload', instanceId: a })
    bench.order(loadOf(a))
    expect(bench.handle({ type: 'engine_closed', engine })).toEqual([])
    expect(startedEngine(bench.fileReady(a))).not.toBe(engine)
  })
})

describe('the connection', () => {
  test('that is lost takes all jobs with it and leaves the models', () => {
    const bench = new Bench()
    bench.ready(a)
    for (const stream of [1, 2, 3]) bench.order(assignOf(a, stream))
    expect(brief(bench.handle({ type: 'disconnected' }))).toEqual(['cancel 1', 'cancel 2'])
    expect(brief(bench.handle({ type: 'connected', draining: true }))).toEqual(['instance ready'])
    expect(bench.instances.draining).toBe(true)
  })
})

test('an external model needs no memory of ours, and starts anew when its engine has died', () => {
  const bench = new Bench()
  const id = newInstanceId()
  const source = { kind: 'external', modelId: 'llama3.1:8b', fingerprint: null } as const
  const model = { modelPath: '', contextTokens: 256, slots: 2, withoutGpu: false, external: source }
  expect(bench.order({ ...loadOf(id), sources: [source] }, 0)).toContainEqual({
    type: 'start_engine',
    engine: 1,
    model,
  })
  const error = { code: 'worker_died', message: 'no connection' } as const
  expect(bench.word(1, { type: 'died', error, exit: 'no answer' })).toContainEqual({
    type: 'start_engine',
    engine: 2,
    model,
  })
})
