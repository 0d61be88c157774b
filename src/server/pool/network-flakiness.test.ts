import { describe, expect, test } from 'bun:test'
import { assignments, PromisedPool } from '../../../test/support/promised-pool.ts'
import { connectAgent, type ScriptedAgent } from '../../../test/support/scripted-agent.ts'
import { limits } from '../../protocol/limits.ts'

const promised = new PromisedPool()

/** Both beat for twenty minutes: one when it should, the other some seconds later each time. */
function beats(steady: ScriptedAgent, jittery: ScriptedAgent): void {
  const interval = limits.heartbeatIntervalMs
  const every = (gapMs: number, agent: ScriptedAgent) =>
    Array.from({ length: Math.floor((40 * interval) / gapMs) }, (_, beat) => ({
      at: promised.now + (beat + 1) * gapMs,
      agent,
    }))
  const due = [...every(interval, steady), ...every(interval + 4_500, jittery)]
  for (const { at, agent } of due.toSorted((a, b) => a.at - b.at)) {
    promised.now = at
    agent.beat()
  }
}

describe('network flakiness (specification 5.5):', () => {
  test('the server tracks heartbeat consistency, and jittery agents get lower reliability scores that say why', async () => {
    const [steady, jittery] = await promised.holders('steady', 'jittery')
    if (steady === undefined || jittery === undefined) throw new Error('two were asked for')
    beats(steady, jittery)
    const [good, bad] = [await promised.shown(steady.id), await promised.shown(jittery.id)]
    expect(bad.reliability).toBeLessThan(good.reliability - 0.05)
    expect(bad.reliabilityReason).toMatch(/heartbeats [34]\.\d s late on average \(-0\.0[67]\)$/)
    expect(good.reliabilityReason).not.toContain('s late')
    expect(bad.history[0]).toMatchObject({ type: 'reliability_changed' })
  })

  test('work goes to the steady one of two machines that are alike', async () => {
    const agents = await promised.holders('steady', 'jittery')
    const [steady, jittery] = agents
    if (steady === undefined || jittery === undefined) throw new Error('two were asked for')
    beats(steady, jittery)
    for (let requests = 0; requests < 3; requests++)
      expect((await promised.serve(agents)).id).toBe(steady.id)
  })

  test('a connection that breaks costs little, and one that breaks again and again more', async () => {
    const agent = await promised.connect('den')
    const before = promised.reliabilityOf(agent)
    let link = agent
    const flap = async () => {
      promised.pool.dispatcher.agentGone(link.id, link)
      link = await connectAgent(promised.pool, promised.database.store, 'den', { id: agent.id })
    }
    await flap()
    expect(promised.reliabilityOf(link)).toBeCloseTo(before - 0.01)
    for (let breaks = 1; breaks < 10; breaks++) await flap()
    expect(promised.reliabilityOf(link)).toBeCloseTo(before - 0.1)
    expect((await promised.shown(agent.id)).reliabilityReason).toContain(
      '10 connections lost lately',
    )
  })

  test('an owner who stops the agent, and a request that the network interrupted, cost no failure', async () => {
    const [agent] = await promised.holders('den')
    if (agent === undefined) throw new Error('one was asked for')
    const before = promised.reliabilityOf(agent)
    promised.ask()
    expect(assignments(agent)).toBe(1)
    promised.pool.dispatcher.agentGone(agent.id, agent, 'owner')
    const { history, reliability } = await promised.shown(agent.id)
    expect(reliability).toBe(before)
    expect(history.map(({ type, metadata }) => [type, metadata['cause']])).toContainEqual([
      'failed_request',
      'network',
    ])
  })
})
