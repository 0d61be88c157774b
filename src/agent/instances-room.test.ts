import { describe, expect, test } from 'bun:test'
import { newInstanceId } from '../protocol/ids.ts'
import { agentLimits } from './agent-limits.ts'
import type { InstanceCommand } from './instance-event.ts'
import {
  assignOf,
  Bench,
  brief,
  gib,
  loadOf,
  roomOf,
  startedEngine,
} from './instances-for-tests.ts'

const a = newInstanceId()
const b = newInstanceId()
const c = newInstanceId()
const tight = 2 * gib

const lookOf = (commands: readonly InstanceCommand[]): number => {
  const found = commands.find(command => command.type === 'look_for_room')
  if (found?.type !== 'look_for_room') throw new Error('nobody looks for room')
  return found.look
}
const finished = (stream: number) =>
  ({ type: 'finished', stream, attempt: 0, reason: 'stop', tokens: 3 }) as const

describe('a model that does not fit beside the others', () => {
  test('pushes out the one that was used least recently, and starts when its memory is back', () => {
    const bench = new Bench()
    const engineA = bench.ready(a, 'a')
    bench.now++
    const engineB = bench.ready(b, 'b')
    bench.now++
    bench.order(assignOf(a, 1))
    bench.word(engineA, finished(1))
    bench.order(loadOf(c, 'c'))
    const pushed = bench.fileReady(c, 3 * gib)
    expect(brief(pushed)).toEqual(['close_engine', 'look_for_room'])
    expect(pushed).toContainEqual({ type: 'close_engine', engine: engineB })
    expect(bench.instances.held.map(({ load }) => load.instanceId)).toEqual([a, c])
    expect(brief(bench.order(assignOf(b, 2)))).toEqual(['failed 2 model_unloaded'])
    const again = bench.look(c, lookOf(pushed), roomOf(tight, gib))
    expect(brief(again)).toEqual(['look_for_room'])
    expect(brief(bench.handle({ type: 'engine_closed', engine: engineB }))).toEqual([
      'instance unloaded',
    ])
    const started = bench.look(c, lookOf(again), roomOf(3 * gib, gib))
    expect(brief(started)).toEqual(['instance loading', 'start_engine'])
  })

  test('takes no more victims while the memory of the last may still come back, and is refused then', () => {
    const bench = new Bench()
    const engine = bench.ready(a, 'a')
    bench.order(loadOf(b, 'b'))
    let commands = bench.fileReady(b, tight)
    bench.handle({ type: 'engine_closed', engine })
    let looks = 0
    while (commands.some(({ type }) => type === 'look_for_room')) {
      bench.now += agentLimits.roomLookMs
      commands = bench.look(b, lookOf(commands), roomOf(gib, gib))
      looks++
    }
    expect(brief(commands)).toEqual(['instance failed'])
    expect(looks).toBe(agentLimits.memorySettleMs / agentLimits.roomLookMs)
  })

  test('waits for models in use and never touches them; too long, and it is refused with figures', () => {
    const bench = new Bench()
    const engine = bench.ready(a, 'a')
    bench.order(assignOf(a, 1))
    bench.order(loadOf(b, 'b'), tight)
    let commands = bench.fileReady(b, tight)
    while (commands.some(({ type }) => type === 'look_for_room')) {
      bench.now += agentLimits.roomLookMs
      commands = bench.look(b, lookOf(commands), roomOf(tight, gib))
    }
    expect(bench.now).toBe(1_000_000 + agentLimits.roomWaitMs)
    expect(commands.at(-1)).toMatchObject({
      message: {
        status: {
          error: {
            code: 'out_of_memory',
            message:
              'the model needs 1536 MB of memory and 1024 MB are free; other models hold 1024 MB',
          },
        },
      },
    })
    expect(brief(bench.word(engine, finished(1)))).toEqual(['finished'])
  })

  test('has the place of the first that becomes idle while it waits', () => {
    const bench = new Bench()
    const engine = bench.ready(a, 'a')
    bench.order(assignOf(a, 1))
    bench.order(loadOf(b, 'b'), tight)
    const waits = bench.fileReady(b, tight)
    bench.word(engine, finished(1))
    expect(brief(bench.look(b, lookOf(waits), roomOf(tight, gib)))).toEqual([
      'close_engine',
      'look_for_room',
    ])
  })

  test('never goes in for a pinned one, and does not wait for it either', () => {
    const bench = new Bench()
    bench.ready(a, 'a')
    bench.order({ ...loadOf(a, 'a'), pinned: true })
    expect(brief(bench.order(loadOf(b, 'b'), tight))).toEqual(['instance failed'])
    bench.order(loadOf(b, 'b'))
    expect(brief(bench.fileReady(b, tight))).toEqual(['instance failed'])
    bench.order(loadOf(a, 'a'))
    bench.order(loadOf(b, 'b'), tight)
    expect(brief(bench.fileReady(b, tight))).toContain('close_engine')
  })

  test('that was unloaded and loaded again takes no notice of an old look', () => {
    const bench = new Bench()
    bench.ready(a, 'a')
    bench.order(assignOf(a, 1))
    bench.order(loadOf(b, 'b'), tight)
    const old = lookOf(bench.fileReady(b, tight))
    bench.order({ type: 'unload', instanceId: b })
    bench.order(loadOf(b, 'b'), tight)
    expect(bench.look(b, old, roomOf(8 * gib, gib))).toEqual([])
    const young = bench.fileReady(b, tight)
    expect(bench.look(b, old, roomOf(8 * gib, gib))).toEqual([])
    startedEngine(bench.look(b, lookOf(young), roomOf(8 * gib, gib)))
  })
})

describe('a model that runs out of memory while it is loaded', () => {
  const loadFailed = {
    type: 'load_failed',
    error: { code: 'out_of_memory', message: 'no room for the context' },
  } as const

  test('is tried once more with less of the GPU, when the first process is gone, and then fails with figures', () => {
    const bench = new Bench()
    bench.order(loadOf(a))
    const engine = startedEngine(bench.fileReady(a, 8 * gib))
    const again = bench.word(engine, loadFailed)
    expect(brief(again)).toEqual(['close_engine', 'look_for_room'])
    const waits = bench.look(a, lookOf(again), roomOf(8 * gib, gib))
    expect(brief(waits)).toEqual(['look_for_room'])
    expect(bench.handle({ type: 'engine_closed', engine })).toEqual([])
    const started = bench.look(a, lookOf(waits), roomOf(8 * gib, gib))
    expect(started).toContainEqual(
      expect.objectContaining({ model: expect.objectContaining({ lessGpu: true }) }),
    )
    const ended = bench.word(startedEngine(started), loadFailed)
    expect(brief(ended)).toEqual(['close_engine', 'instance failed'])
    expect(ended.at(-1)).toMatchObject({
      message: {
        status: {
          error: {
            code: 'out_of_memory',
            message:
              'the memory did not suffice (no room for the context); reckoned were 1024 MB of main memory, 8192 MB were available',
          },
        },
      },
    })
  })

  test('without a GPU fails at once', () => {
    const bench = new Bench()
    bench.order({ ...loadOf(a), withoutGpu: true })
    const engine = startedEngine(bench.fileReady(a))
    expect(brief(bench.word(engine, loadFailed))).toEqual(['close_engine', 'instance failed'])
  })
})
