import { expect, test } from 'bun:test'
import { newAgentId } from '../../protocol/ids.ts'
import { createLog } from '../log.ts'
import { eventTextCharactersMax, type AdminEvent } from './admin-event.ts'
import { Announcer, remembered, repeatMs } from './announcer.ts'

function setUp() {
  let now = 1_000_000
  const kept: AdminEvent[] = []
  const sent: AdminEvent[] = []
  const lines: string[] = []
  const clock = { now: () => now }
  const sink = { write: (line: string) => void lines.push(line) }
  const announcer = new Announcer({
    clock,
    log: createLog({ level: 'debug', pretty: false, clock, sink }),
    keep: event => void kept.push(event),
    send: event => void sent.push(event),
  })
  return { announcer, kept, sent, lines, pass: (ms: number) => (now += ms) }
}

test('what is told is logged, kept and sent, each once', () => {
  const { announcer, kept, sent, lines } = setUp()
  const agentId = newAgentId()
  announcer.tell({ type: 'agent_unhealthy', agentId, agentName: 'den', text: '5 of 5 failed' })
  const event = {
    type: 'agent_unhealthy',
    severity: 'critical',
    at: 1_000_000,
    agentId,
    agentName: 'den',
    model: null,
    text: '5 of 5 failed',
    times: 1,
  } as const
  expect(kept).toEqual([event])
  expect(sent).toEqual([event])
  expect(lines.map(line => JSON.parse(line) as object)).toMatchObject([
    { level: 'error', msg: 'agent unhealthy', agentId, agentName: 'den', reason: '5 of 5 failed' },
  ])
})

test('its time is whole milliseconds, as the store keeps them', () => {
  const { announcer, kept, sent, pass } = setUp()
  pass(0.7)
  announcer.tell({ type: 'agent_unhealthy', text: '5 of 5 failed' })
  expect([...kept, ...sent].map(({ at }) => at)).toEqual([1_000_001, 1_000_001])
})

test('a flood of the same becomes one, and the next one says how many it stands for', () => {
  const { announcer, kept, lines, pass } = setUp()
  const agentId = newAgentId()
  const tell = () => announcer.tell({ type: 'thermal_event', agentId, text: 'hot' })
  for (let n = 0; n < 1_000; n++) tell()
  expect(kept).toHaveLength(1)
  expect(lines).toHaveLength(1)
  pass(repeatMs.thermal_event - 1)
  tell()
  expect(kept).toHaveLength(1)
  pass(1)
  tell()
  expect(kept.map(({ times }) => times)).toEqual([1, 1_001])
})

test('of another agent, of another model and of another kind it is something else', () => {
  const { announcer, kept } = setUp()
  const [a, b] = [newAgentId(), newAgentId()]
  announcer.tell({ type: 'model_failed', agentId: a, model: 'x', text: '' })
  announcer.tell({ type: 'model_failed', agentId: b, model: 'x', text: '' })
  announcer.tell({ type: 'model_failed', agentId: a, model: 'y', text: '' })
  announcer.tell({ type: 'agent_offline', agentId: a, text: '' })
  expect(kept).toHaveLength(4)
})

test('long texts are cut, and what is remembered has a limit', () => {
  const { announcer, kept } = setUp()
  announcer.tell({ type: 'model_failed', model: 'oldest', text: 'x'.repeat(9_999) })
  expect(kept[0]?.text).toHaveLength(eventTextCharactersMax)
  for (let n = 0; n < remembered.eventsMax; n++)
    announcer.tell({ type: 'model_failed', model: `${n}`, text: '' })
  announcer.tell({ type: 'model_failed', model: 'oldest', text: 'once more' })
  expect(kept.at(-1)?.text).toBe('once more')
  const before = kept.length
  announcer.tell({ type: 'model_failed', model: `${remembered.eventsMax - 1}`, text: '' })
  expect(kept).toHaveLength(before)
})
