import { describe, expect, test } from 'bun:test'
import { assignments, PromisedPool } from '../../../test/support/promised-pool.ts'
import { gpu } from '../../../test/support/scheduler-pool.ts'
import type { ScriptedAgent } from '../../../test/support/scripted-agent.ts'
import { inventory, model } from '../../../test/support/store-fixtures.ts'
import type { InferenceEvent } from '../inference.ts'

const promised = new PromisedPool()

/** Of two holders the one that the next request goes to, and the other one. */
async function pair(): Promise<readonly [ScriptedAgent, ScriptedAgent]> {
  const [a, b] = await promised.holders('a', 'b')
  if (a === undefined || b === undefined) throw new Error('two were asked for')
  const first = await promised.serve([a, b])
  return first === a ? [a, b] : [b, a]
}

describe('the request flow (specification 2.2):', () => {
  test('routing is by capability: a model that only one machine can hold goes there, though the other one is idle', async () => {
    const manifest = {
      ...model('70b').manifest,
      sha256: 'cd'.repeat(32),
      sizeBytes: 42_000_000_000,
    }
    await promised.database.store.addModel(model('70b', { manifest, slots: 4 }))
    await promised.pool.poolAdmin.catalogueChanged()
    const small = await promised.connect('small')
    const large = await promised.connect('large', {
      ...inventory,
      gpus: [gpu({ name: 'NVIDIA H100', vramTotalMb: 81_559 })],
    })
    for (let requests = 1; requests <= 3; requests++) {
      promised.ask('70b')
      expect(assignments(large)).toBe(requests)
    }
    expect(small.types).not.toContain('load')
  })

  test('capability fit comes first: a machine without GPU is overflow, however reliable it is', async () => {
    const processor = await promised.connect('processor', inventory)
    await promised.pool.poolAdmin.loadModel('tiny', null)
    processor.isReady()
    for (let requests = 0; requests < 5; requests++) await promised.serve([processor])
    const card = await promised.connect('card')
    await promised.pool.poolAdmin.loadModel('tiny', null)
    card.isReady()
    expect(promised.reliabilityOf(card)).toBeLessThan(promised.reliabilityOf(processor))
    expect(await promised.serve([processor, card])).toBe(card)
  })

  test('then reliability: of two machines that are alike, work goes to the one that has not failed', async () => {
    const [failing, other] = await pair()
    promised.ask()
    failing.fail('internal')
    other.start()
    other.finish(0)
    await promised.pool.settlement.drained()
    expect(await promised.serve([failing, other])).toBe(other)
  })

  test('then current load: the next request goes to the one that has nothing to do', async () => {
    const [busy, idle] = await pair()
    promised.ask()
    expect(assignments(busy)).toBe(2)
    promised.ask()
    expect(assignments(idle)).toBe(1)
  })

  test('then latency: of equals the near one gets it', async () => {
    const agents = await promised.holders('a', 'b')
    for (const near of agents) {
      for (const agent of agents) agent.beat(40, { network_latency_ms: agent === near ? 5 : 120 })
      const before = assignments(near)
      const { cancel } = promised.ask()
      expect(assignments(near)).toBe(before + 1)
      cancel()
    }
  })

  test('if the assigned agent fails, the next one takes over by itself, and the client never learns who served it', async () => {
    const [failing, other] = await pair()
    const { events } = promised.ask()
    failing.start()
    failing.token(0, 'Hel')
    failing.fail('worker_died')
    other.start()
    other.token(1, 'lo')
    other.finish(2)
    await promised.pool.settlement.drained()
    const text = (event: InferenceEvent) =>
      event.type === 'segments' ? event.segments.map(segment => segment.text).join('') : ''
    expect(events.map(text).join('')).toBe('Hello')
    expect(events.at(-1)?.type).toBe('finished')
    for (const { id } of [failing, other]) expect(JSON.stringify(events)).not.toContain(id)
  })
})
