import { expect, test } from 'bun:test'
import fc from 'fast-check'
import type { ChatJob } from '../../protocol/chat-job.ts'
import type { AgentId, InstanceId } from '../../protocol/ids.ts'
import { limits } from '../../protocol/limits.ts'
import type { TokenFrame } from '../../protocol/token-frame.ts'
import type { RelayCommand } from './relay-command.ts'
import type { RelayEvent } from './relay-event.ts'
import { RelayStream } from './relay-stream.ts'

// An engine that an agent's owner runs tells text and no token ids: nobody else can go on with its answer.

const chat: ChatJob = {
  messages: [{ role: 'user', content: 'hello' }],
  tools: [],
  sampling: { temperature: 0, topP: 1, seed: 1 },
  maxTokens: 8,
  stop: [],
  renderTimeMs: 0,
}

const leased = (agent: string): RelayEvent => ({
  type: 'leased',
  agentId: agent as AgentId,
  instanceId: `instance-${agent}` as InstanceId,
  ready: true,
  contextTokens: 4_096,
})
const started = (attempt: number, promptTokens: number | null = null): RelayEvent => ({
  type: 'started',
  attempt,
  promptTokens,
  promptSha256: null,
})
const token = (attempt: number, index: number, text: string): TokenFrame => ({
  type: 'token',
  stream: 1,
  attempt,
  choice: 0,
  index,
  tokenId: 'unknown',
  segments: [{ kind: 'answer', text }],
})
const failed = (attempt: number): RelayEvent => ({
  type: 'failed',
  attempt,
  error: { code: 'worker_died', message: 'the engine broke off' },
})
const finished = (tokens: number): RelayEvent => ({
  type: 'finished',
  attempt: 0,
  reason: 'stop',
  tokens,
})

class Story {
  readonly relay = new RelayStream(chat, 'unknown')
  now = 0
  readonly commands: RelayCommand[] = []

  say(...events: RelayEvent[]): readonly RelayCommand[] {
    const from = this.commands.length
    for (const event of events) this.commands.push(...this.relay.handle(event, this.now))
    return this.commands.slice(from)
  }
}

test('a whole answer: one token for each piece of text, the prompt’s figure when the engine has told it', () => {
  const story = new Story()
  story.say(leased('a'), started(0), token(0, 0, 'Hel'), token(0, 1, 'lo'), started(0, 12))
  expect(story.say(finished(2))).toEqual([
    { type: 'finish', reason: 'stop', usage: { promptTokens: 12, completionTokens: 2 } },
  ])
})

test('lost before its first text, it is tried elsewhere from the beginning', () => {
  const story = new Story()
  story.say(leased('a'), started(0))
  expect(story.say({ type: 'agent_lost', attempt: 0 }).at(-1)).toMatchObject({ type: 'retry' })
  expect(story.say(leased('b'))).toMatchObject([{ type: 'assign', continuation: null }])
})

test.each([
  ['a lost agent', { type: 'agent_lost', attempt: 0 } as const, 'agent_lost'],
  ['an engine that breaks off', failed(0), 'worker_died'],
])('%s behind the first text ends the stream with what was counted', (_, event, code) => {
  const story = new Story()
  story.say(leased('a'), started(0), token(0, 0, 'Hel'), token(0, 1, 'lo'))
  expect(story.say(event).at(-1)).toMatchObject({
    type: 'fail',
    agentId: 'a',
    error: { code },
    usage: { promptTokens: 0, completionTokens: 2 },
  })
})

test('an engine that hangs behind its first text ends the stream at the deadline', () => {
  const story = new Story()
  story.say(leased('a'), started(0), token(0, 0, 'Hel'))
  story.now = limits.firstByteBudgetMs - 1
  expect(story.say({ type: 'tick' })).toEqual([])
  story.now++
  expect(story.say({ type: 'tick' })).toMatchObject([
    { type: 'cancel' },
    { type: 'fail', error: { code: 'timeout' }, usage: { completionTokens: 1 } },
  ])
})

test('the prompt’s figure is the engine’s word, and is no more than its text can have', () => {
  const story = new Story()
  story.say(leased('a'), started(0, 2_000_000_000), token(0, 0, 'x'))
  const [end] = story.say(finished(1))
  const usage = end?.type === 'finish' ? end.usage : null
  expect(usage?.promptTokens).toBeGreaterThan(chat.messages.length)
  expect(usage?.promptTokens).toBeLessThan(2_000)
})

test('ids where the model has none, and none where it has some, are a breach', () => {
  const own = new Story()
  own.say(leased('a'), started(0))
  expect(own.say({ ...token(0, 0, 'x'), tokenId: 7 }).at(-1)).toMatchObject({
    type: 'retry',
    error: { code: 'agent_faulty' },
  })
  const pools = new RelayStream(chat)
  pools.handle(leased('a'), 0)
  expect(pools.handle(started(0), 0).at(-1)).toMatchObject({
    type: 'retry',
    error: { code: 'agent_faulty' },
  })
})

test('text without a token has the same bound as everywhere', () => {
  const story = new Story()
  story.say(leased('a'), started(0), token(0, 0, 'x'))
  const text = Array.from({ length: 5 }, () => ({ ...token(0, 1, 'y'), tokenId: null }))
  expect(story.say(...text).at(-1)).toMatchObject({
    type: 'fail',
    error: { code: 'agent_faulty' },
    usage: { completionTokens: 1 },
  })
})

test('whatever happens, nothing is delivered twice, the end comes once and counts what was delivered', () => {
  const events = fc.oneof(
    fc.constantFrom<RelayEvent>(leased('a'), leased('b'), { type: 'tick' }),
    fc.nat(3).map((attempt): RelayEvent => ({ type: 'agent_lost', attempt })),
    fc.nat(3).map(attempt => started(attempt)),
    fc.nat(3).map(failed),
    fc.tuple(fc.nat(3), fc.nat(8)).map(([attempt, index]) => token(attempt, index, `${index};`)),
    fc.nat(8).map(finished),
  )
  fc.assert(
    fc.property(fc.array(events, { maxLength: 60 }), happened => {
      const story = new Story()
      story.say(leased('a'), started(0))
      // The scheduler gives a request one lease at a time: the next one only when it was asked to try again.
      for (const event of happened)
        if (event.type !== 'leased' || story.commands.at(-1)?.type === 'retry') story.say(event)
      story.say({ type: 'client_gone' })
      const delivered = story.commands
        .flatMap(command => (command.type === 'deliver' ? command.segments : []))
        .map(({ text }) => text)
      expect(delivered).toEqual(delivered.map((_, index) => `${index};`))
      const ends = story.commands.filter(
        ({ type }) => type === 'finish' || type === 'fail' || type === 'abandon',
      )
      expect(ends).toMatchObject([{ usage: { completionTokens: delivered.length } }])
      const behindText = story.commands.findIndex(({ type }) => type === 'deliver')
      if (behindText !== -1)
        expect(story.commands.slice(behindText).some(({ type }) => type === 'assign')).toBe(false)
    }),
  )
})
