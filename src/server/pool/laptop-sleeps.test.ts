import { describe, expect, test } from 'bun:test'
import { PromisedPool } from '../../../test/support/promised-pool.ts'
import { askTiny, connectAgent, ScriptedAgent } from '../../../test/support/scripted-agent.ts'
import { inventory, model } from '../../../test/support/store-fixtures.ts'
import { newInstanceId } from '../../protocol/ids.ts'
import { limits } from '../../protocol/limits.ts'
import { closeCodes } from '../control/agent-session.ts'

// Specification 5.2 with the real dispatcher, scheduler, relay and store; the agents are scripts at the end of a link.

const world = new PromisedPool()

const connect = (name: string) => connectAgent(world.pool, world.database.store, name)
const believed = (agent: ScriptedAgent) => world.pool.dispatcher.scheduler.agent(agent.id)
const after = (ms: number) => {
  world.now += ms
  world.pool.dispatcher.tick()
}
const { heartbeatIntervalMs, heartbeatGraceMs } = limits

/** What hello says after sleep: the instance that is still in memory, and what still runs in it. */
async function woken(agent: ScriptedAgent, instanceId = newInstanceId()) {
  const record = await world.database.store.getAgent(agent.id)
  if (record === undefined) throw new Error('it is not enrolled')
  const back = new ScriptedAgent(agent.id, world.pool)
  const { contextTokens, manifest } = model('tiny')
  const status = { state: 'ready', contextTokens, slots: 1, loadMs: 1 } as const
  world.pool.dispatcher.agentAdmitted(
    record,
    {
      type: 'hello',
      agentId: record.id,
      apiKey: '',
      versions: [1],
      features: [],
      software: { name: 'script', version: '1' },
      signature: '',
      inventory: { ...inventory, memoryTotalMb: 32_000 },
      region: null,
      instances: [{ instanceId, modelSha256: manifest.sha256, status }],
      streams: [{ stream: 5, attempt: 2 }],
    },
    back,
  )
  return { back, instanceId }
}

describe('a laptop that sleeps', () => {
  test('is degraded after 1 missed heartbeat', async () => {
    const agent = await connect('a')
    after(heartbeatIntervalMs + heartbeatGraceMs - 1_000)
    expect(believed(agent)?.standing.status).toBe('online')
    after(1_000)
    expect(believed(agent)?.standing.status).toBe('degraded')
    await world.pool.registry.flush()
    expect((await world.database.store.getAgent(agent.id))?.status).toBe('degraded')
  })

  test('is offline after 3 missed heartbeats, and its connection is ended', async () => {
    const agent = await connect('a')
    after(3 * heartbeatIntervalMs + heartbeatGraceMs - 1_000)
    expect(believed(agent)?.standing.status).toBe('degraded')
    after(1_000)
    expect(believed(agent)?.standing.status).toBe('offline')
    expect(agent.closedWith).toBe(closeCodes.tryAgainLater)
    await world.pool.registry.flush()
    expect((await world.database.store.getAgent(agent.id))?.status).toBe('offline')
  })

  test('has its requests reassigned when it is degraded', async () => {
    const sleeping = await connect('a')
    const { events } = askTiny(world.pool, world.now)
    sleeping.start()
    after(20_000)
    // Its last word: the stream's own deadline is further away than the heartbeat's.
    sleeping.token(0, 'Hel')
    after(heartbeatIntervalMs - 20_000)
    const other = await connect('b')
    expect(other.types).not.toContain('assign')
    after(heartbeatGraceMs)
    expect(sleeping.types.at(-1)).toBe('cancel')
    expect(other.job).toMatchObject({ attempt: 1, continuation: { tokenIds: [7] } })
    expect(events).toHaveLength(1)
  })

  test('reconnects on wake, registers again, and both sides then believe the same', async () => {
    const sleeping = await connect('a')
    const { events } = askTiny(world.pool, world.now)
    sleeping.start()
    const held = believed(sleeping)?.instances.keys().next().value
    // It sleeps for a minute, and its connection is still open when it comes back with another.
    after(60_000)
    const { back, instanceId } = await woken(sleeping)
    expect(sleeping.closedWith).toBe(closeCodes.replaced)
    // The server takes its word for what it holds, and forgets what it does not name.
    expect([...(believed(back)?.instances.keys() ?? [])]).toEqual([instanceId])
    expect(instanceId).not.toBe(held ?? instanceId)
    expect(believed(back)?.inventory.memoryTotalMb).toBe(32_000)
    expect(believed(back)?.standing).toEqual({ liveness: 'green', status: 'online' })
    // It is told to end what the server has given up, and gets its work anew.
    expect(back.sent[0]).toEqual({ type: 'cancel', stream: 5, attempt: 2 })
    expect(back.job).toMatchObject({ attempt: 1, instanceId })
    back.start()
    back.token(0, 'Hi')
    // What the old connection still brings is not heard.
    sleeping.token(0, 'STALE')
    back.finish(1)
    await world.pool.settlement.drained()
    const heard = events.filter(({ type }) => type !== 'queued')
    expect(heard).toMatchObject([{ segments: [{ text: 'Hi' }] }, { type: 'finished' }])
  })

  test('is forgotten after a long absence: it registers in full, and nothing that was believed counts', async () => {
    const agent = await connect('a')
    askTiny(world.pool, world.now).cancel()
    world.pool.dispatcher.agentGone(agent.id, agent)
    after(10 * 60_000)
    expect(believed(agent)).toBeUndefined()
    const { back, instanceId } = await woken(agent)
    expect([...(believed(back)?.instances.keys() ?? [])]).toEqual([instanceId])
    expect(believed(back)).toMatchObject({ leaseCount: 0, inventory: { memoryTotalMb: 32_000 } })
  })
})
