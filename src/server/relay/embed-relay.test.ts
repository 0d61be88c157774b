import { describe, expect, test } from 'bun:test'
import type { EmbedJob } from '../../protocol/embed-job.ts'
import type { AgentId, InstanceId } from '../../protocol/ids.ts'
import { limits } from '../../protocol/limits.ts'
import type { VectorFrame } from '../../protocol/vector-frame.ts'
import { EmbedRelay } from './embed-relay.ts'
import type { RelayCommand } from './relay-command.ts'
import type { RelayEvent } from './relay-event.ts'
import { attemptsMax } from './relay-stream.ts'

const twoTexts: EmbedJob = { kind: 'embedding', inputs: ['a', 'b'], normalise: true }
const contextTokens = 512

const leased = (agent: string, ready = true) => ({
  type: 'leased' as const,
  agentId: agent as AgentId,
  instanceId: `instance-${agent}` as InstanceId,
  ready,
  contextTokens,
})
const vector = (
  attempt: number,
  index: number,
  values: readonly number[] = [0.6, 0.8],
  promptTokens = 5,
): VectorFrame => ({
  type: 'vector',
  stream: 1,
  attempt,
  index,
  promptTokens,
  values: Float32Array.from(values),
})
const finished = (attempt: number): RelayEvent => ({
  type: 'finished',
  attempt,
  reason: 'stop',
  tokens: 0,
})
const died = (attempt: number): RelayEvent => ({
  type: 'failed',
  attempt,
  error: { code: 'worker_died', message: 'it broke' },
})

class Story {
  readonly relay: EmbedRelay
  now = 0

  constructor(job: EmbedJob = twoTexts, dimensions: number | null = 2) {
    this.relay = new EmbedRelay(job, dimensions)
  }

  say(...events: RelayEvent[]): readonly RelayCommand[] {
    return events.flatMap(event => this.relay.handle(event, this.now))
  }
}

test('all vectors, in order, and the usage of their tokens', () => {
  const story = new Story()
  expect(story.say(leased('a'))).toMatchObject([{ type: 'assign', agentId: 'a', attempt: 0 }])
  expect(story.say(vector(0, 0), vector(0, 1, [1, 0]))).toEqual([])
  expect(story.say(finished(0))).toEqual([
    { type: 'finish', reason: 'stop', usage: { promptTokens: 10, completionTokens: 0 } },
  ])
  expect(story.relay.vectors.map(values => [...values])).toEqual([
    [...Float32Array.of(0.6, 0.8)],
    [1, 0],
  ])
  expect(
    story.say(vector(0, 2), { type: 'client_gone' }, { type: 'agent_lost', attempt: 0 }),
  ).toEqual([])
})

test('an agent lost half-way: the next one does the whole job again, and usage counts once', () => {
  const story = new Story()
  story.say(leased('a'), vector(0, 0, [9, 9], 400))
  expect(story.say(died(0))).toMatchObject([{ type: 'retry', agentId: 'a' }])
  expect(story.say(leased('b'))).toMatchObject([{ type: 'assign', agentId: 'b', attempt: 1 }])
  expect(story.say(vector(0, 1, [9, 9]), finished(0))).toEqual([])
  expect(story.say(vector(1, 0), vector(1, 1), finished(1))).toMatchObject([
    { type: 'finish', usage: { promptTokens: 10 } },
  ])
  expect(story.relay.vectors).not.toContainEqual(Float32Array.of(9, 9))
  expect(story.relay.record).toMatchObject({ attempts: 2, agentId: 'b' as AgentId })
})

describe('an agent that breaks the protocol is told to stop and its work moves', () => {
  const breaches: Record<string, RelayEvent[]> = {
    'a gap': [vector(0, 1)],
    'a vector twice': [vector(0, 0), vector(0, 0)],
    'more vectors than inputs': [vector(0, 0), vector(0, 1), vector(0, 2)],
    'fewer vectors than inputs': [vector(0, 0), finished(0)],
    'vectors of another length than the model has': [vector(0, 0, [1, 0, 0])],
    'an empty vector': [vector(0, 0, [])],
    'a vector that is not finite': [vector(0, 0, [1, Number.NaN])],
    'a longer input than its context holds': [vector(0, 0, [1, 0], contextTokens + 1)],
    text: [{ type: 'started', attempt: 0, promptTokens: 1, promptSha256: 'c'.repeat(64) }],
  }
  for (const [what, events] of Object.entries(breaches))
    test(what, () => {
      const story = new Story()
      story.say(leased('a'))
      expect(story.say(...events)).toMatchObject([
        { type: 'cancel', attempt: 0 },
        { type: 'retry', agentId: 'a', error: { code: 'agent_faulty' } },
      ])
    })

  test('two scores for a document', () => {
    const story = new Story({ kind: 'rerank', query: 'q', documents: ['d'] }, null)
    story.say(leased('a'))
    expect(story.say(vector(0, 0)).at(-1)).toMatchObject({ error: { code: 'agent_faulty' } })
  })

  test('vectors of several lengths, also where the model’s is not known', () => {
    const story = new Story(twoTexts, null)
    story.say(leased('a'), vector(0, 0, [1, 0, 0]))
    expect(story.say(vector(0, 1, [1, 0])).at(-1)).toMatchObject({
      error: { code: 'agent_faulty' },
    })
  })
})

test('a mistake of the client ends the request at once, with the failure as it came', () => {
  const story = new Story()
  story.say(leased('a'))
  const error = { code: 'prompt_too_long', message: 'input[1] has 600 tokens' } as const
  expect(story.say({ type: 'failed', attempt: 0, error })).toMatchObject([{ type: 'fail', error }])
})

test('attempts are bounded, and two dead workers are enough', () => {
  const story = new Story()
  for (let attempt = 0; attempt < attemptsMax - 1; attempt++)
    expect(
      story.say(leased(`agent-${attempt}`), { type: 'agent_lost', attempt }).at(-1)?.type,
    ).toBe('retry')
  expect(
    story.say(leased('last'), { type: 'agent_lost', attempt: attemptsMax - 1 }).at(-1)?.type,
  ).toBe('fail')

  const poison = new Story()
  expect(poison.say(leased('a'), died(0)).at(-1)?.type).toBe('retry')
  expect(poison.say(leased('b'), died(1)).at(-1)).toMatchObject({
    type: 'fail',
    error: { code: 'worker_died' },
  })
})

test('when nobody is left, the client hears what went wrong', () => {
  const story = new Story()
  story.say(leased('a'), died(0))
  const error = { code: 'no_capable_agent', message: 'nobody' } as const
  expect(story.say({ type: 'refused', error })).toMatchObject([
    { type: 'fail', error: { code: 'worker_died' }, agentId: null },
  ])
})

test('a client that hangs up stops the agent', () => {
  const story = new Story()
  story.say(leased('a'), vector(0, 0))
  expect(story.say({ type: 'client_gone' })).toMatchObject([
    { type: 'cancel', agentId: 'a', attempt: 0 },
    { type: 'abandon' },
  ])
})

test('an agent that falls silent is given up after its deadline; a load that gets on is not', () => {
  const budgetMs = limits.firstByteBudgetMs + limits.firstBytePerPromptTokenMs * contextTokens
  const story = new Story()
  story.say(leased('a'))
  story.now = budgetMs - 1
  expect(story.say({ type: 'tick' }, vector(0, 0))).toEqual([])
  story.now += budgetMs
  expect(story.say({ type: 'tick' })).toMatchObject([{ type: 'cancel' }, { type: 'retry' }])
  story.say(leased('b', false))
  story.now += limits.loadTimeoutMs - 1
  expect(story.say({ type: 'tick' }, { type: 'loading', attempt: 1 })).toEqual([])
  story.now += limits.loadTimeoutMs - 1
  expect(story.say({ type: 'tick' })).toEqual([])
  story.now += 1
  expect(story.say({ type: 'tick' })).toMatchObject([{ type: 'cancel' }, { type: 'retry' }])
})
