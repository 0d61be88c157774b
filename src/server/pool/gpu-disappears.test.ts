import { PromisedPool } from '../../../test/support/promised-pool.ts'
import { describe, expect, test } from 'bun:test'
import { askTiny, connectAgent } from '../../../test/support/scripted-agent.ts'

// Specification 5.1 with the real dispatcher, scheduler, relay and store; the agents are scripts at the end of a link.

const world = new PromisedPool()

/** Two tokens are at the client when the worker of the first agent is gone. */
async function disappeared() {
  const agents = [
    await connectAgent(world.pool, world.database.store, 'a'),
    await connectAgent(world.pool, world.database.store, 'b'),
  ] as const
  await world.pool.poolAdmin.loadModel('tiny', null)
  for (const agent of agents) agent.ready(1)
  const { events } = askTiny(world.pool, world.now)
  const [first, second] = agents[0].types.includes('assign') ? agents : [agents[1], agents[0]]
  first.start()
  first.token(0, 'Hel')
  first.token(1, 'lo')
  const { stream, attempt } = first.job
  world.now += 700
  const error = { code: 'worker_died', message: 'CUDA error: device lost' }
  first.says({ type: 'failed', stream, attempt, error })
  return { first, second, events }
}

describe('when a GPU disappears in the middle of a request', () => {
  test('the agent reports it, and what it had made by then is kept', async () => {
    const { first, second } = await disappeared()
    expect(second.job.continuation).toMatchObject({ tokenIds: [7, 7], deliveredBytes: 5 })
    await world.pool.registry.flush()
    expect(await world.database.store.listHistory(first.id, 5)).toContainEqual(
      expect.objectContaining({
        type: 'worker_died',
        metadata: expect.objectContaining({ code: 'worker_died' }),
      }),
    )
  })

  test('the request has failed for now and is tried again, not ended', async () => {
    const { events } = await disappeared()
    expect(events.map(({ type }) => type)).toEqual(['segments', 'segments'])
    expect(world.pool.poolAdmin.counts()).toMatchObject({ requestsRunning: 1 })
  })

  test('the next capable agent gets it', async () => {
    const { first, second } = await disappeared()
    expect(second.job).toMatchObject({ stream: first.job.stream, attempt: 1 })
  })

  test('the client sees more latency, and no token twice', async () => {
    const { second, events } = await disappeared()
    second.start()
    second.token(1, 'lo')
    second.token(2, '!')
    second.finish(3)
    await world.pool.settlement.drained()
    const text = events.flatMap(event =>
      event.type === 'segments' ? event.segments.map(segment => segment.text) : [],
    )
    expect(text).toEqual(['Hel', 'lo', '!'])
    expect(events.at(-1)).toMatchObject({ type: 'finished', usage: { completionTokens: 3 } })
  })
})
