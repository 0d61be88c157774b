import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import type { ChatJob } from '../../protocol/chat-job.ts'
import type { AgentId, InstanceId } from '../../protocol/ids.ts'
import { limits } from '../../protocol/limits.ts'
import type { TokenFrame } from '../../protocol/token-frame.ts'
import type { TokenIds } from './accepted-answer.ts'
import type { RelayCommand } from './relay-command.ts'
import type { RelayEvent } from './relay-event.ts'
import { racesMax, RelayStream } from './relay-stream.ts'

// An agent that is late is not given up: a second one races it, and whoever sends the next token goes on alone.

const chat: ChatJob = {
  messages: [{ role: 'user', content: 'hello' }],
  tools: [],
  sampling: { temperature: 0, topP: 1, seed: 1 },
  maxTokens: 64,
  stop: [],
  renderTimeMs: 0,
}
const gapMs = 50

const place = (agent: string) => ({
  agentId: agent as AgentId,
  instanceId: `instance-${agent}` as InstanceId,
  contextTokens: 1024,
})
const leased = (agent: string, hedgeAfterMs: number | null = null): RelayEvent => ({
  type: 'leased',
  ready: true,
  hedgeAfterMs,
  ...place(agent),
})
const standby = (agent: string): RelayEvent => ({ type: 'standby', ...place(agent) })
const started = (attempt: number, sha = 'c'): RelayEvent => ({
  type: 'started',
  attempt,
  promptTokens: 12 + attempt,
  promptSha256: sha.repeat(64),
})
const token = (attempt: number, index: number): TokenFrame => ({
  type: 'token',
  stream: 1,
  attempt,
  choice: 0,
  index,
  tokenId: 100 + index,
  segments: [{ kind: 'answer', text: `${index};` }],
})
const finished = (attempt: number, tokens: number): RelayEvent => ({
  type: 'finished',
  attempt,
  reason: 'stop',
  tokens,
})
const failed = (attempt: number, code: 'worker_died' | 'prompt_too_long'): RelayEvent => ({
  type: 'failed',
  attempt,
  error: { code, message: 'it broke' },
})
const tick: RelayEvent = { type: 'tick' }

class Story {
  readonly relay: RelayStream
  now = 0
  readonly commands: RelayCommand[] = []

  constructor(idsAre: TokenIds = 'known') {
    this.relay = new RelayStream(chat, idsAre)
  }

  say(...events: RelayEvent[]): readonly RelayCommand[] {
    const from = this.commands.length
    for (const event of events) this.commands.push(...this.relay.handle(event, this.now))
    return this.commands.slice(from)
  }

  after(ms: number, ...events: RelayEvent[]): readonly RelayCommand[] {
    this.now += ms
    return this.say(...events)
  }

  get text(): string {
    return this.commands
      .flatMap(command => (command.type === 'deliver' ? command.segments : []))
      .map(segment => segment.text)
      .join('')
  }
}

/** Ten tokens at the stream's pace, then silence up to the moment of the stall. */
function stalledStory(): Story {
  const story = new Story()
  story.say(leased('a'), started(0))
  for (let index = 0; index < 10; index++) story.after(gapMs, token(0, index))
  expect(story.after(limits.stallMinMs - 1, tick)).toEqual([])
  return story
}

describe('a stream that stalls', () => {
  test('asks for a second agent at its own deadline, and again while there is none', () => {
    const story = stalledStory()
    const seek = { type: 'seek_standby', agentId: 'a', reason: 'stalled' }
    expect(story.after(1, tick)).toMatchObject([{ ...seek, again: false }])
    expect(story.after(limits.stallAskIntervalMs - 1, tick)).toEqual([])
    expect(story.after(1, tick)).toMatchObject([{ ...seek, again: true }])
    story.say(token(0, 10))
    expect(story.after(limits.stallMinMs, tick)).toMatchObject([{ ...seek, again: false }])
  })

  test('does not give the first agent up: if it is the first to go on, the second one is told to stop', () => {
    const story = stalledStory()
    story.after(1, tick)
    const [assign] = story.say(standby('b'))
    expect(assign).toMatchObject({ type: 'assign', agentId: 'b', attempt: 1 })
    expect(assign).toMatchObject({ continuation: { tokenIds: { length: 10 } } })
    expect(story.say(started(1), token(0, 10))).toMatchObject([
      { type: 'cancel', agentId: 'b', attempt: 1 },
      { type: 'drop', agentId: 'b', error: null },
      { type: 'deliver' },
    ])
    expect(story.say(token(1, 10), token(1, 11), token(0, 11))).toMatchObject([{ type: 'deliver' }])
  })

  test('goes on with the second agent once that has a token; frames of the stalled one are dropped when it wakes', () => {
    const story = stalledStory()
    story.after(1, tick)
    expect(story.say(standby('b'), started(1), token(1, 10))).toMatchObject([
      { type: 'assign' },
      { type: 'cancel', agentId: 'a', attempt: 0 },
      { type: 'drop', agentId: 'a', error: { code: 'stalled' } },
      { type: 'deliver' },
    ])
    expect(story.say(token(0, 10), token(0, 11), finished(0, 11))).toEqual([])
    expect(story.say(token(1, 11), finished(1, 12))).toMatchObject([
      { type: 'deliver' },
      { type: 'finish', usage: { promptTokens: 12, completionTokens: 12 } },
    ])
    expect(story.text).toBe(Array.from({ length: 12 }, (_, index) => `${index};`).join(''))
    expect(story.relay.record).toMatchObject({ attempts: 2, agentId: 'b' as AgentId })
  })

  test('and whose agent is then lost goes on with the second one without asking anybody', () => {
    const story = stalledStory()
    story.after(1, tick)
    story.say(standby('b'))
    expect(story.say({ type: 'agent_lost', attempt: 0 })).toMatchObject([
      { type: 'cancel', agentId: 'a' },
      { type: 'drop', agentId: 'a', error: { code: 'agent_lost' } },
    ])
    expect(story.say(started(1), token(1, 10))).toMatchObject([{ type: 'deliver' }])
  })

  test('and whose second agent fails waits on for the first one', () => {
    const story = stalledStory()
    story.after(1, tick)
    expect(story.say(standby('b'), failed(1, 'worker_died'))).toMatchObject([
      { type: 'assign' },
      { type: 'drop', agentId: 'b', error: { code: 'worker_died' } },
    ])
    expect(story.say(token(0, 10))).toMatchObject([{ type: 'deliver' }])
  })

  test('keeps the agent that it has once it has raced often enough', () => {
    const story = stalledStory()
    story.now++
    for (let race = 0; race < racesMax; race++) {
      expect(story.say(tick)).toMatchObject([{ type: 'seek_standby' }])
      story.say(standby('b'), token(0, 10 + race))
      story.now += limits.stallMinMs
    }
    expect(story.say(tick)).toEqual([])
    expect(story.after(limits.firstByteBudgetMs, tick)).toMatchObject([
      { type: 'cancel', agentId: 'a' },
      { type: 'retry', error: { code: 'timeout' } },
    ])
  })

  test('never goes on elsewhere when its tokens have no ids', () => {
    const story = new Story('unknown')
    story.say(leased('a'), { ...started(0), promptSha256: null } as RelayEvent)
    for (let index = 0; index < 10; index++)
      story.after(gapMs, { ...token(0, index), tokenId: 'unknown' })
    expect(story.after(limits.stallMinMs, tick)).toEqual([])
  })

  test('and whose client leaves stops both agents', () => {
    const story = stalledStory()
    story.after(1, tick)
    story.say(standby('b'))
    expect(story.say({ type: 'client_gone' })).toMatchObject([
      { type: 'cancel', agentId: 'a' },
      { type: 'cancel', agentId: 'b' },
      { type: 'abandon', usage: { completionTokens: 10 } },
    ])
  })
})

describe('a first token that is late', () => {
  const hedged = (): Story => {
    const story = new Story()
    story.say(leased('a', 200), started(0))
    expect(story.after(199, tick)).toEqual([])
    expect(story.after(1, tick)).toMatchObject([{ type: 'seek_standby', reason: 'slow_start' }])
    expect(story.after(limits.stallAskIntervalMs, tick)).toEqual([])
    story.say(standby('b'))
    return story
  }

  test('brings a second agent in; the first token wins, costs the loser nothing and is counted once', () => {
    const story = hedged()
    expect(story.say(started(1, 'd'), token(1, 0))).toMatchObject([
      // What is known of the loser: it took at least so long.
      { type: 'began', agentId: 'a', afterMs: 200 + limits.stallAskIntervalMs },
      { type: 'cancel', agentId: 'a', attempt: 0 },
      { type: 'drop', agentId: 'a', error: null },
      { type: 'deliver' },
    ])
    expect(story.say(token(0, 0), token(0, 1), finished(1, 1))).toEqual([
      { type: 'finish', reason: 'stop', usage: { promptTokens: 13, completionTokens: 1 } },
    ])
  })

  test('of the first agent wins as well, with the first one’s prompt', () => {
    const story = hedged()
    expect(story.say(started(1, 'd'), token(0, 0))).toMatchObject([
      { type: 'began', agentId: 'a' },
      { type: 'cancel', agentId: 'b', attempt: 1 },
      { type: 'drop', agentId: 'b', error: null },
      { type: 'deliver' },
    ])
    story.say({ type: 'agent_lost', attempt: 0 })
    expect(story.say(leased('b'))).toMatchObject([
      { continuation: { tokenIds: [100], promptSha256: 'c'.repeat(64) } },
    ])
  })

  test('is told only where somebody wants to know, of an agent that had the model in memory, and once', () => {
    const begins = (event: RelayEvent) => {
      const story = new Story()
      story.say(event, started(0))
      return story.after(30, token(0, 0), token(0, 1)).filter(({ type }) => type === 'began')
    }
    expect(begins(leased('a'))).toEqual([{ type: 'began', agentId: 'a' as AgentId, afterMs: 30 }])
    expect(begins({ ...leased('a'), ready: false } as RelayEvent)).toEqual([])
    expect(begins({ ...leased('a'), hedgeAfterMs: undefined } as RelayEvent)).toEqual([])
  })

  test('does not matter when nobody has said how late is late', () => {
    const story = new Story()
    story.say(leased('a'), started(0))
    expect(story.after(limits.firstByteBudgetMs - 1, tick)).toEqual([])
  })

  test('a mistake of the client ends both', () => {
    expect(hedged().say(failed(1, 'prompt_too_long'))).toMatchObject([
      { type: 'cancel', agentId: 'a' },
      { type: 'fail', error: { code: 'prompt_too_long' } },
    ])
  })
})

describe('an agent that answers nothing at all', () => {
  const silent: RelayEvent = { type: 'agent_silent', attempt: 0 }
  const seek = { type: 'seek_standby', agentId: 'a', reason: 'silent' }

  test('is raced before its first token too, though nobody hedges, as soon as there is somebody', () => {
    const story = new Story()
    story.say(leased('a'))
    expect(story.after(6_000, tick)).toEqual([])
    expect(story.say(silent)).toMatchObject([seek])
    expect(story.after(limits.stallAskIntervalMs, tick)).toMatchObject([seek])
    expect(story.say(standby('b'), started(1), token(1, 0))).toMatchObject([
      { type: 'assign', agentId: 'b' },
      { type: 'began', agentId: 'a' },
      { type: 'cancel', agentId: 'a' },
      { type: 'drop', agentId: 'a', error: { code: 'stalled' } },
      { type: 'deliver' },
    ])
  })

  test('is raced before the deadline of a slow stream', () => {
    const story = new Story()
    story.say(leased('a'), started(0))
    for (let index = 0; index < 10; index++) story.after(2_000, token(0, index))
    expect(story.after(2_500, tick)).toEqual([])
    expect(story.say(silent)).toMatchObject([seek])
  })

  test('is taken at its word again with its next token', () => {
    const story = stalledStory()
    story.say(silent)
    story.after(1, token(0, 10))
    expect(story.after(limits.stallMinMs - 1, tick)).toEqual([])
  })

  test('is no matter to an attempt that does not count any more', () => {
    const story = stalledStory()
    expect(story.say({ type: 'agent_silent', attempt: 7 })).toEqual([])
  })
})

test('only the agent of an attempt speaks for it', () => {
  const story = stalledStory()
  story.after(1, tick)
  story.say(standby('b'))
  const { relay } = story
  const isFrom = (agent: string, attempt: number) => relay.isFrom(agent as AgentId, attempt)
  expect([isFrom('a', 0), isFrom('b', 1)]).toEqual([true, true])
  expect([isFrom('a', 1), isFrom('b', 0), isFrom('b', 2)]).toEqual([false, false, false])
  story.say(started(1), token(1, 10))
  expect([isFrom('a', 0), isFrom('b', 1)]).toEqual([false, true])
})

test('a tick before the due time changes nothing, and whatever is due is at the due time', () => {
  const story = stalledStory()
  expect(story.relay.dueAt).toBe(story.now + 1)
  story.after(1, tick)
  expect(story.relay.dueAt).toBe(story.now + limits.stallAskIntervalMs)
  story.say(standby('b'))
  expect(story.relay.dueAt).toBeGreaterThan(story.now + limits.stallAskIntervalMs)
  story.say({ type: 'client_gone' })
  expect(story.relay.dueAt).toBe(Infinity)
})

test('whatever two racing agents do, tokens are delivered once and in order, and the end comes once', () => {
  const attempt = fc.nat(7)
  const events = fc.oneof(
    fc.constantFrom<RelayEvent>(leased('a', 100), leased('b'), standby('c'), standby('d'), tick),
    attempt.map(number => started(number)),
    fc.tuple(attempt, fc.nat(12)).map(([number, index]): RelayEvent => token(number, index)),
    fc.tuple(attempt, fc.nat(12)).map(([number, tokens]) => finished(number, tokens)),
    attempt.map(number => failed(number, 'worker_died')),
    attempt.map((number): RelayEvent => ({ type: 'agent_lost', attempt: number })),
    attempt.map((number): RelayEvent => ({ type: 'agent_silent', attempt: number })),
    // What an agent that works does next.
    fc.constant('next' as const),
  )
  fc.assert(
    fc.property(fc.array(fc.tuple(events, fc.nat(700)), { maxLength: 80 }), happened => {
      const story = new Story()
      story.say(leased('a', 100), started(0))
      for (const [event, ms] of happened) {
        const last = story.commands.at(-1)?.type
        // The scheduler answers what it was asked for, and nothing else.
        if (event !== 'next' && event.type === 'leased' && last !== 'retry') continue
        if (event !== 'next' && event.type === 'standby' && last !== 'seek_standby') continue
        story.after(
          ms,
          event === 'next' ? token(openAttempts(story)[0] ?? 0, countOf(story)) : event,
        )
        expect(openAttempts(story).length).toBeLessThanOrEqual(2)
      }
      story.say({ type: 'client_gone' })
      expect(story.text).toBe(Array.from({ length: countOf(story) }, (_, i) => `${i};`).join(''))
      const ends = story.commands.filter(
        ({ type }) => type === 'finish' || type === 'fail' || type === 'abandon',
      )
      expect(ends).toMatchObject([{ usage: { completionTokens: countOf(story) } }])
      expect(story.relay.dueAt).toBe(Infinity)
    }),
    { numRuns: 1_000 },
  )
})

const countOf = ({ commands }: Story): number =>
  commands.filter(({ type }) => type === 'deliver').length

/** Attempts that count, as the relay itself says. */
const openAttempts = ({ relay }: Story): readonly number[] =>
  ['a', 'b', 'c', 'd'].flatMap(agent => relay.attemptOn(agent as AgentId) ?? [])
