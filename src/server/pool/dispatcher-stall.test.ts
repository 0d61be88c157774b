import { PromisedPool } from '../../../test/support/promised-pool.ts'
import { expect, test } from 'bun:test'
import { askTiny, connectAgent, type ScriptedAgent } from '../../../test/support/scripted-agent.ts'
import { limits } from '../../protocol/limits.ts'
import type { InferenceEvent } from '../inference.ts'

// A stream that falls silent, with the real dispatcher, scheduler, relay and store.

const gapMs = 50
const world = new PromisedPool({ slots: 2 })

const connect = (name: string) => connectAgent(world.pool, world.database.store, name)
const ask = () => askTiny(world.pool, world.now)
const textOf = (events: readonly InferenceEvent[]) =>
  events
    .flatMap(event => (event.type === 'segments' ? event.segments : []))
    .map(segment => segment.text)
    .join('')
const tickAfter = (ms: number) => {
  world.now += ms
  world.pool.dispatcher.tick()
}

/** Both have the model in memory; the stream has run on the first for a while, five tokens at its pace. */
async function runningOnFirst() {
  const [first, second] = [await connect('a'), await connect('b')]
  await world.pool.poolAdmin.loadModel('tiny', null)
  for (const agent of [first, second]) agent.ready(2)
  const { events } = ask()
  const [busy, idle] = first.types.includes('assign') ? [first, second] : [second, first]
  busy.start()
  for (let index = 0; index < 5; index++) {
    world.now += gapMs
    busy.token(index, `${index};`)
  }
  return { busy, idle, events }
}

/** What the connection does when a ping is late, or answered. */
const pong = (agent: ScriptedAgent, late: boolean) =>
  world.pool.dispatcher.schedule({ type: 'ping', agentId: agent.id, late })

test('a stream that stalls goes on elsewhere at its own deadline, long before a heartbeat is missed', async () => {
  const { busy, idle, events } = await runningOnFirst()
  tickAfter(limits.stallMinMs - 1)
  expect(idle.types).not.toContain('assign')
  tickAfter(1)
  expect(idle.job).toMatchObject({ attempt: 1, continuation: { tokenIds: { length: 5 } } })
  // The stalled one has not lost it yet.
  expect(busy.types.at(-1)).toBe('assign')
  idle.start()
  idle.token(5, '5;')
  expect(busy.types.at(-1)).toBe('cancel')
  busy.token(5, 'STALE')
  idle.finish(6)
  await world.pool.settlement.drained()
  expect(textOf(events)).toBe('0;1;2;3;4;5;')
  expect(await world.database.store.usage()).toMatchObject([{ completionTokens: 6 }])
  expect(world.pool.poolAdmin.counts()).toMatchObject({ requestsRunning: 0, slotsBusy: 0 })
})

test('a stalled agent that goes on first keeps its stream, and the slot of the other one is free again', async () => {
  const { busy, idle, events } = await runningOnFirst()
  tickAfter(limits.stallMinMs)
  busy.token(5, '5;')
  expect(idle.types.at(-1)).toBe('cancel')
  expect(world.pool.poolAdmin.counts()).toMatchObject({ slotsBusy: 1 })
  idle.start()
  idle.token(5, 'TOO LATE')
  busy.finish(6)
  await world.pool.settlement.drained()
  expect(textOf(events)).toBe('0;1;2;3;4;5;')
})

test('an overtaken agent loses no reliability and is asked whether it lives; a record is kept', async () => {
  const { busy, idle } = await runningOnFirst()
  const reliability = () => world.pool.dispatcher.scheduler.agent(busy.id)?.reliability
  const before = reliability()
  tickAfter(limits.stallMinMs)
  expect(busy.probes).toBe(1)
  idle.start()
  idle.token(5, '5;')
  expect(reliability()).toBe(before)
  await world.pool.registry.flush()
  const history = await world.database.store.listHistory(busy.id, 5)
  expect(history).toContainEqual(
    expect.objectContaining({
      type: 'failed_request',
      metadata: { code: 'stalled', cause: 'network' },
    }),
  )
})

test('with nobody to go on, a stalled stream waits for its agent', async () => {
  const only = await connect('a')
  const { events } = ask()
  only.ready(2)
  only.start()
  for (let index = 0; index < 5; index++) {
    world.now += gapMs
    only.token(index, `${index};`)
  }
  for (let waitedMs = 0; waitedMs < limits.firstByteBudgetMs - 1_000; waitedMs += 500)
    tickAfter(500)
  expect(only.types).not.toContain('unload')
  expect(only.types.at(-1)).toBe('assign')
  only.token(5, '5;')
  only.finish(6)
  await world.pool.settlement.drained()
  expect(textOf(events)).toBe('0;1;2;3;4;5;')
})

test('a stall while the agent computes another prompt is none, as long as it answers pings', async () => {
  const { busy, idle } = await runningOnFirst()
  // Fill the idle agent up to one slot, so that the next prompt is computed beside the stream.
  ask()
  const other = busy.types.filter(type => type === 'assign').length > 1 ? busy : idle
  if (other !== busy) ask()
  expect(busy.types.filter(type => type === 'assign').length).toBe(2)
  const assigned = () => idle.types.filter(type => type === 'assign').length
  const before = assigned()
  tickAfter(limits.stallMinMs)
  expect(assigned()).toBe(before)
  pong(busy, true)
  pong(busy, false)
  tickAfter(limits.stallAskIntervalMs)
  expect(assigned()).toBe(before)
  pong(busy, true)
  tickAfter(limits.stallAskIntervalMs)
  expect(assigned()).toBe(before + 1)
})

test('a server that was held up itself blames no agent', async () => {
  const { busy, idle } = await runningOnFirst()
  world.now += 3_000
  world.pool.dispatcher.tick(world.now - 2_900)
  expect(idle.types).not.toContain('assign')
  // What lay in its sockets meanwhile comes now.
  busy.token(5, '5;')
  tickAfter(100)
  expect(idle.types).not.toContain('assign')
})

test('an agent cannot speak for the one that it races', async () => {
  const { busy, idle, events } = await runningOnFirst()
  tickAfter(limits.stallMinMs)
  const { stream } = idle.job
  const error = { code: 'invalid_request', message: 'lies' }
  idle.says({ type: 'failed', stream, attempt: busy.job.attempt, error })
  busy.token(5, '5;')
  expect(textOf(events)).toBe('0;1;2;3;4;5;')
})

test('a machine that answers no ping has its requests taken over before their first token, too', async () => {
  const { busy, idle } = await runningOnFirst()
  const [first, second] = [ask(), ask()]
  const waiting = busy.types.filter(type => type === 'assign').length - 1
  expect(waiting).toBe(1)
  const assigned = () => idle.types.filter(type => type === 'assign').length
  const before = assigned()
  pong(busy, true)
  world.pool.dispatcher.agentSilent(busy.id)
  // The stream that ran, or the one that had not begun: there is one slot for them.
  expect(assigned()).toBe(before + 1)
  idle.start()
  idle.token(idle.job.continuation?.tokenIds.length ?? 0, 'here')
  idle.finish((idle.job.continuation?.tokenIds.length ?? 0) + 1)
  await world.pool.settlement.drained()
  tickAfter(limits.stallAskIntervalMs)
  expect(assigned()).toBe(before + 2)
  first.cancel()
  second.cancel()
})

test('one that has answered since keeps its requests', async () => {
  const { busy, idle } = await runningOnFirst()
  pong(busy, false)
  world.pool.dispatcher.agentSilent(busy.id)
  expect(idle.types).not.toContain('assign')
})
