import { describe, expect, test } from 'bun:test'
import { assignments, PromisedPool } from '../../../test/support/promised-pool.ts'

const promised = new PromisedPool()

describe('thermal throttling (specification 5.3):', () => {
  test('an agent that reports degraded with the reason thermal is shown as degraded', async () => {
    const agent = await promised.connect('den')
    agent.beat(80, { status: 'degraded', reason: 'thermal' })
    expect(await promised.shown(agent.id)).toMatchObject({
      status: 'degraded',
      health: { slowed: true, stopped: null },
      liveness: 'green',
      lastHeartbeat: { reason: 'thermal' },
    })
  })

  test('heat reduces routing priority, not to zero: others go first, and alone it still serves', async () => {
    const [hot, cool] = await promised.holders('hot', 'cool')
    if (hot === undefined || cool === undefined) throw new Error('two were asked for')
    hot.beat(80, { status: 'degraded', reason: 'thermal' })
    for (let requests = 0; requests < 3; requests++)
      expect((await promised.serve([hot, cool])).id).toBe(cool.id)
    promised.pool.dispatcher.agentGone(cool.id, cool)
    expect((await promised.serve([hot])).id).toBe(hot.id)
  })

  test('heat costs no reliability: work that it stopped is not held against the machine', async () => {
    const [agent] = await promised.holders('den')
    if (agent === undefined) throw new Error('one was asked for')
    const before = promised.reliabilityOf(agent)
    promised.ask()
    agent.start()
    agent.beat(97)
    agent.fail('overheated')
    expect(promised.reliabilityOf(agent)).toBe(before)
    const [failed] = (await promised.shown(agent.id)).history.filter(
      ({ type }) => type === 'failed_request',
    )
    expect(failed?.metadata).toMatchObject({ code: 'overheated', cause: 'heat' })
  })

  test('an agent above 95 °C gets no new work until it is below 85 °C, and the admin hears of both', async () => {
    const [agent] = await promised.holders('den')
    if (agent === undefined) throw new Error('one was asked for')
    agent.beat(96)
    const waiting = promised.ask()
    agent.beat(90)
    expect(assignments(agent)).toBe(0)
    expect(waiting.events.map(({ type }) => type)).not.toContain('failed')
    agent.beat(84)
    expect(assignments(agent)).toBe(1)
    expect(promised.told.map(({ type }) => type)).toEqual([
      'thermal_event',
      'agent_too_hot',
      'agent_cooled',
    ])
  })
})
