import { describe, expect, test } from 'bun:test'
import type { AgentId, InstanceId } from '../../protocol/ids.ts'
import { limits } from '../../protocol/limits.ts'
import type { ChatJob } from '../../protocol/chat-job.ts'
import type { TokenFrame } from '../../protocol/token-frame.ts'
import type { RelayCommand } from './relay-command.ts'
import type { RelayEvent } from './relay-event.ts'
import { attemptsMax, RelayStream } from './relay-stream.ts'

const chat: ChatJob = {
  messages: [{ role: 'user', content: 'hello' }],
  tools: [],
  sampling: { temperature: 0, topP: 1, seed: 1 },
  maxTokens: 8,
  stop: [],
  renderTimeMs: 0,
}
const promptSha256 = 'c'.repeat(64)

const leased = (agent: string) => ({
  type: 'leased' as const,
  agentId: agent as AgentId,
  instanceId: `instance-${agent}` as InstanceId,
  ready: true,
  contextTokens: 1024,
})
const started = (attempt: number, sha = promptSha256) => ({
  type: 'started' as const,
  attempt,
  promptTokens: 12,
  promptSha256: sha,
})
const token = (attempt: number, index: number, text: string | null): TokenFrame => ({
  type: 'token',
  stream: 1,
  attempt,
  choice: 0,
  index,
  tokenId: 100 + index,
  segments: text === null ? [] : [{ kind: 'answer', text }],
})
const failed = (
  attempt: number,
  code: 'worker_died' | 'worker_hung' | 'prompt_too_long',
): RelayEvent => ({
  type: 'failed',
  attempt,
  error: { code, message: 'it broke' },
})

class Story {
  readonly relay = new RelayStream(chat)
  now = 0
  readonly commands: RelayCommand[] = []

  say(...events: RelayEvent[]): readonly RelayCommand[] {
    const from = this.commands.length
    for (const event of events) this.commands.push(...this.relay.handle(event, this.now))
    return this.commands.slice(from)
  }

  get text(): string {
    return this.commands
      .flatMap(command => (command.type === 'deliver' ? command.segments : []))
      .map(segment => segment.text)
      .join('')
  }
}

describe('log probabilities', () => {
  const logprob = { logprob: -0.5, bytes: new Uint8Array([72]), top: [] }
  const wanting = { ...chat, topLogprobs: 0 }
  const told = (attempt: number, index: number, text: string | null) => ({
    ...token(attempt, index, text),
    logprob,
  })
  const running = (job: ChatJob) => {
    const relay = new RelayStream(job)
    relay.handle(leased('a'), 0)
    relay.handle(started(0), 0)
    return relay
  }

  test('are delivered once with their token, also before its text, and not again by the next agent', () => {
    const relay = running(wanting)
    expect(relay.handle(told(0, 0, null), 0)).toEqual([{ type: 'deliver', segments: [], logprob }])
    relay.handle({ type: 'agent_lost', attempt: 0 }, 0)
    relay.handle(leased('b'), 0)
    relay.handle(started(1), 0)
    const owed = { ...told(1, 1, 'He'), tokenId: null }
    expect(relay.handle(owed, 0)).toEqual([{ type: 'deliver', segments: owed.segments }])
    expect(relay.handle(told(1, 0, 'He'), 0)).toEqual([])
    expect(relay.handle(told(1, 1, 'y'), 0)).toMatchObject([{ type: 'deliver', logprob }])
  })

  test('that nobody asked for are left out', () => {
    expect(running(chat).handle(told(0, 0, 'Hi'), 0)).toEqual([
      { type: 'deliver', segments: [{ kind: 'answer', text: 'Hi' }] },
    ])
  })

  test('of more tokens than were asked for are a breach', () => {
    const many = { ...told(0, 0, 'Hi'), logprob: { ...logprob, top: [logprob] } }
    expect(running(wanting).handle(many, 0)).toMatchObject([
      { type: 'cancel' },
      { type: 'retry', error: { code: 'agent_faulty' } },
    ])
  })
})

test('a further answer to a prompt does not count it again', () => {
  const relay = new RelayStream(chat, 'known', false)
  for (const event of [leased('a'), { ...started(0), cachedTokens: 4 }, token(0, 0, 'Hi')])
    relay.handle(event, 0)
  expect(relay.handle({ type: 'finished', attempt: 0, reason: 'stop', tokens: 1 }, 0)).toEqual([
    { type: 'finish', reason: 'stop', usage: { promptTokens: 0, completionTokens: 1 } },
  ])
})

test("cached tokens are the first attempt's word, and never more than the prompt", () => {
  const story = new Story()
  story.say(leased('a'), { ...started(0), cachedTokens: 400 }, token(0, 0, 'Hi'))
  story.say(failed(0, 'worker_died'), leased('b'), { ...started(1), cachedTokens: 0 })
  expect(story.say({ type: 'finished', attempt: 1, reason: 'stop', tokens: 1 })).toEqual([
    {
      type: 'finish',
      reason: 'stop',
      usage: { promptTokens: 12, completionTokens: 1, cachedTokens: 12 },
    },
  ])
})

test('a whole answer: assigned, delivered in order, finished with the usage that was counted here', () => {
  const story = new Story()
  expect(story.say(leased('a'))).toEqual([
    {
      type: 'assign',
      agentId: 'a' as AgentId,
      instanceId: 'instance-a' as InstanceId,
      attempt: 0,
      continuation: null,
    },
  ])
  story.say(started(0), token(0, 0, 'Hel'), token(0, 1, null), token(0, 2, 'lo'))
  expect(story.text).toBe('Hello')
  expect(story.say({ type: 'finished', attempt: 0, reason: 'stop', tokens: 3 })).toEqual([
    { type: 'finish', reason: 'stop', usage: { promptTokens: 12, completionTokens: 3 } },
  ])
  expect(story.relay.ended).toBe(true)
  expect(story.say(token(0, 3, 'late'), { type: 'client_gone' })).toEqual([])
})

test('an agent lost in mid-answer: the next one continues from the accepted tokens', () => {
  const story = new Story()
  story.say(leased('a'), started(0), token(0, 0, 'Hel'), token(0, 1, 'ló'))
  expect(story.say({ type: 'agent_lost', attempt: 0 }).map(command => command.type)).toEqual([
    'cancel',
    'retry',
  ])
  expect(story.say(leased('b'))).toEqual([
    {
      type: 'assign',
      agentId: 'b' as AgentId,
      instanceId: 'instance-b' as InstanceId,
      attempt: 1,
      continuation: { tokenIds: [100, 101], deliveredBytes: 6, promptSha256 },
    },
  ])
  story.say(started(1), token(0, 2, 'STALE'), token(1, 2, '!'))
  expect(story.text).toBe('Helló!')
  const end = story.say({ type: 'finished', attempt: 1, reason: 'stop', tokens: 3 })
  expect(end).toEqual([
    { type: 'finish', reason: 'stop', usage: { promptTokens: 12, completionTokens: 3 } },
  ])
})

test('an agent lost before its first token: the next one starts afresh', () => {
  const story = new Story()
  story.say(leased('a'), started(0), { type: 'agent_lost', attempt: 0 })
  expect(story.say(leased('b'))).toMatchObject([{ type: 'assign', continuation: null }])
})

test('a repeated frame is dropped, whatever text it carries', () => {
  const story = new Story()
  story.say(leased('a'), started(0), token(0, 0, 'once'), token(0, 0, 'twice'))
  expect(story.text).toBe('once')
})

describe('an agent that breaks the protocol is told to stop and its work moves', () => {
  const breaches: Record<string, RelayEvent[]> = {
    'a gap': [started(0), token(0, 0, 'a'), token(0, 2, 'c')],
    'tokens before the start': [token(0, 0, 'a')],
    'more tokens than asked for': [
      started(0),
      ...Array.from({ length: 9 }, (_, index) => token(0, index, 'x')),
    ],
    'a longer prompt than its context holds': [
      { type: 'started', attempt: 0, promptTokens: 1025, promptSha256 },
    ],
    'an end before the start': [{ type: 'finished', attempt: 0, reason: 'stop', tokens: 0 }],
    'fewer tokens than it says': [
      started(0),
      token(0, 0, 'x'),
      { type: 'finished', attempt: 0, reason: 'stop', tokens: 500 },
    ],
    'text without tokens': [
      started(0),
      ...Array.from({ length: 5 }, () => ({ ...token(0, 0, 'x'), tokenId: null })),
    ],
  }
  for (const [what, events] of Object.entries(breaches))
    test(what, () => {
      const story = new Story()
      story.say(leased('a'))
      expect(story.say(...events).filter(command => command.type !== 'deliver')).toMatchObject([
        { type: 'cancel', attempt: 0 },
        { type: 'retry', agentId: 'a', error: { code: 'agent_faulty' } },
      ])
    })

  test('another prompt on the second agent than on the first', () => {
    const story = new Story()
    story.say(
      leased('a'),
      started(0),
      token(0, 0, 'a'),
      { type: 'agent_lost', attempt: 0 },
      leased('b'),
    )
    expect(story.say(started(1, 'd'.repeat(64)))).toMatchObject([
      { type: 'cancel', attempt: 1 },
      { type: 'retry' },
    ])
  })
})

test('a mistake of the client ends the request at once, with the failure as it came', () => {
  const story = new Story()
  story.say(leased('a'))
  expect(story.say(failed(0, 'prompt_too_long'))).toMatchObject([
    { type: 'fail', error: { code: 'prompt_too_long' } },
  ])
})

test('a request that killed two workers is not tried on a third', () => {
  const story = new Story()
  story.say(leased('a'))
  expect(story.say(failed(0, 'worker_died'))).toMatchObject([{ type: 'retry' }])
  story.say(leased('b'))
  expect(story.say(failed(1, 'worker_died'))).toMatchObject([
    { type: 'fail', error: { code: 'worker_died' } },
  ])
})

test('a worker that hung counts like one that died', () => {
  const story = new Story()
  story.say(leased('a'))
  expect(story.say(failed(0, 'worker_hung'))).toMatchObject([{ type: 'retry' }])
  story.say(leased('b'))
  expect(story.say(failed(1, 'worker_died'))).toMatchObject([{ type: 'fail' }])
})

test('attempts are bounded', () => {
  const story = new Story()
  for (let attempt = 0; attempt < attemptsMax - 1; attempt++) {
    story.say(leased(`agent-${attempt}`))
    expect(story.say({ type: 'agent_lost', attempt }).at(-1)?.type).toBe('retry')
  }
  story.say(leased('last'))
  expect(story.say({ type: 'agent_lost', attempt: attemptsMax - 1 }).at(-1)?.type).toBe('fail')
})

test('when nobody is left, the client hears what went wrong and what it really got', () => {
  const story = new Story()
  story.say(leased('a'), started(0), token(0, 0, 'half'), failed(0, 'worker_died'))
  const error = { code: 'no_capable_agent', message: 'nobody' } as const
  expect(story.say({ type: 'refused', error })).toEqual([
    {
      type: 'fail',
      error: { code: 'worker_died', message: 'it broke' },
      usage: { promptTokens: 12, completionTokens: 1 },
      agentId: null,
    },
  ])
})

test('a client that hangs up stops the agent, and what it got is counted', () => {
  const story = new Story()
  story.say(leased('a'), started(0), token(0, 0, 'x'))
  expect(story.say({ type: 'client_gone' })).toMatchObject([
    { type: 'cancel', agentId: 'a', attempt: 0 },
    { type: 'abandon', usage: { promptTokens: 12, completionTokens: 1 } },
  ])
})

test('an agent that falls silent, and that nobody can stand in for, is given up after its deadline, and not before', () => {
  const story = new Story()
  story.say(leased('a'), started(0), token(0, 0, 'x'))
  story.now = limits.firstByteBudgetMs - 1
  expect(story.say({ type: 'tick' })).toMatchObject([{ type: 'seek_standby' }])
  story.now++
  expect(story.say({ type: 'tick' })).toMatchObject([{ type: 'cancel' }, { type: 'retry' }])
})

test('an agent that has the model must begin soon; one that loads may take its time while it gets on', () => {
  const story = new Story()
  story.say(leased('a'))
  story.now = limits.firstByteBudgetMs
  expect(story.say({ type: 'tick' })).toMatchObject([{ type: 'cancel' }, { type: 'retry' }])
  story.say({ ...leased('b'), ready: false })
  story.now += limits.loadTimeoutMs - 1
  expect(story.say({ type: 'tick' }, { type: 'loading', attempt: 1 })).toEqual([])
  story.now += limits.loadTimeoutMs - 1
  expect(story.say({ type: 'tick' })).toEqual([])
  story.now += 1
  expect(story.say({ type: 'tick' })).toMatchObject([{ type: 'cancel' }, { type: 'retry' }])
})

test('text that was held back and is released at the end is delivered without a token', () => {
  const story = new Story()
  story.say(leased('a'), started(0), token(0, 0, null))
  story.say({ ...token(0, 1, 'held'), tokenId: null })
  expect(story.text).toBe('held')
  const [end] = story.say({ type: 'finished', attempt: 0, reason: 'length', tokens: 1 })
  expect(end).toMatchObject({ usage: { completionTokens: 1 } })
})
