import { describe, expect, test } from 'bun:test'
import { assignments, PromisedPool } from '../../../test/support/promised-pool.ts'
import { gpu } from '../../../test/support/scheduler-pool.ts'
import { inventory } from '../../../test/support/store-fixtures.ts'
import { registrationNotes } from '../enrolment/registration-notes.ts'

const promised = new PromisedPool()

describe('bad drivers (specification 5.4):', () => {
  test('an error that an agent reports is on its record, with whose doing it was, and the request goes on elsewhere', async () => {
    const agents = await promised.holders('den', 'attic')
    const { events } = promised.ask()
    const broken = agents.find(agent => assignments(agent) === 1)
    const other = agents.find(agent => agent !== broken)
    if (broken === undefined || other === undefined) throw new Error('nobody has the request')
    const before = promised.reliabilityOf(broken)
    broken.fail('worker_died', 'CUDA error: an illegal memory access was encountered')
    expect(assignments(other)).toBe(1)
    other.start()
    other.finish(0)
    await promised.pool.settlement.drained()
    expect(events.at(-1)?.type).toBe('finished')
    expect(promised.reliabilityOf(broken)).toBeLessThan(before)
    const { history, reliabilityReason } = await promised.shown(broken.id)
    expect(history[0]).toMatchObject({
      type: 'worker_died',
      metadata: { code: 'worker_died', cause: 'node', before },
    })
    expect(reliabilityReason).toContain('0 of 1 recent requests completed')
  })

  test('a machine whose inferences fail is marked unhealthy, gets no more work, and the admin is notified', async () => {
    const [agent] = await promised.holders('den')
    if (agent === undefined) throw new Error('one was asked for')
    for (let failures = 0; failures < 5; failures++) {
      promised.ask()
      agent.fail('internal', 'nonsense came out')
      agent.isReady()
    }
    const refused = promised.ask()
    await promised.pool.settlement.drained()
    expect(refused.events).toMatchObject([{ type: 'failed', error: { code: 'no_capable_agent' } }])
    expect(promised.told).toMatchObject([
      { type: 'agent_unhealthy', severity: 'critical', agentId: agent.id, agentName: 'den' },
    ])
    expect(await promised.shown(agent.id)).toMatchObject({
      status: 'degraded',
      health: { stopped: expect.stringContaining('unhealthy: 5 of 5 inferences failed') as string },
    })
  })

  test('a driver on the blacklist is told to the admin when its machine connects, and to its owner at registration', async () => {
    const bad = gpu({ driverVersion: '525.147.05' })
    const machine = { ...inventory, gpus: [bad] }
    await promised.connect('den', machine)
    expect(promised.told).toMatchObject([{ type: 'driver_trouble', agentName: 'den' }])
    expect(registrationNotes(machine, promised.now).join()).toContain('CUDA 12')
  })
})
