import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import type { ChatJob } from '../../protocol/chat-job.ts'
import {
  chatJob,
  continuationAt,
  demoModel,
  EngineSession,
  joinSegments,
  type Answer,
} from './engine-harness.ts'
import type { EngineEvent, StartEngine } from './engine.ts'
import { describePrefixReuse } from './prefix-conformance.ts'

const story = 'Tell me a short story.'
const sampled = { temperature: 1, topP: 0.95, seed: 4_242 }
const weatherTool = {
  name: 'get_current_weather',
  description: 'Get the weather of a city',
  parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
}
const weather = chatJob('What is the weather in Paris?', { tools: [weatherTool] })

/** What an engine can do beyond the promises that all of them make. */
export type EngineAbilities = {
  /** It tells the ids of its tokens, so that an answer can be continued elsewhere, and it makes the prompt itself. */
  readonly tokenIds: boolean
  /** It is a process that the agent has started. */
  readonly ownProcess: boolean
}

/** What every engine promises, tried with the demo model on one thread. */
export function describeEngine(
  name: string,
  start: StartEngine,
  abilities: EngineAbilities = { tokenIds: true, ownProcess: true },
): void {
  describe(name, () => {
    let session: EngineSession
    beforeAll(async () => {
      session = new EngineSession(start, demoModel)
      await session.until(() => session.eventOf('ready') !== undefined)
    })
    afterAll(async () => {
      await session.engine.close()
    })
    describeAnswers(() => session)
    describeSlots(() => session, start)
    if (abilities.tokenIds) {
      describeOwnPrompt(() => session)
      describeContinuing(() => session)
      describePrefixReuse(() => session, start)
      describeFullContext(start)
    } else describeTextAlone(() => session)
    if (abilities.ownProcess) describeProcess(start)
  })
}

function describeAnswers(session: () => EngineSession): void {
  test('says what it loaded', () => {
    expect(session().eventOf('ready')).toMatchObject({ contextTokens: 1024, slots: 4 })
  })

  test('streams an answer: started, one frame per token in order, finished with their number', async () => {
    const answer = await session().ask(chatJob('What is a GPU pool?'))
    expect(answer.text).toBe(
      'A GPU pool joins the graphics cards of many ordinary computers so that they can answer requests together.',
    )
    const indexes = answer.frames.filter(frame => frame.tokenId !== null).map(frame => frame.index)
    expect(indexes).toEqual(indexes.map((_, i) => i))
    expect(answer.frames.length).toBeGreaterThan(10)
    expect(answer.ended).toMatchObject({ type: 'finished', reason: 'stop', tokens: indexes.length })
    expect(answer.started?.promptTokens).toBeGreaterThan(5)
  })

  test('ends at a stop string, which does not show', async () => {
    const answer = await session().ask(
      chatJob('What is a GPU pool?', { stop: ['ordinary', 'cards of'] }),
    )
    expect(answer.text).toBe('A GPU pool joins the graphics ')
    expect(answer.ended).toMatchObject({ type: 'finished', reason: 'stop' })
  })

  test('ends after max tokens, counted as they are sampled', async () => {
    const answer = await session().ask(chatJob(story, { maxTokens: 7 }))
    expect(answer.ended).toMatchObject({ type: 'finished', reason: 'length', tokens: 7 })
    expect(answer.tokens).toBe(7)
  })

  test('turns a tool call into one, with the reason', async () => {
    const answer = await session().ask(weather)
    expect(answer.ended).toMatchObject({ type: 'finished', reason: 'tool_calls' })
    expect(new Set(answer.output.map(segment => segment.kind))).toEqual(new Set(['tool_call']))
    const [call, ...others] = answer.toolCalls
    expect(others).toEqual([])
    expect(call).toMatchObject({ name: 'get_current_weather', id: expect.stringMatching(/.+/) })
    expect(JSON.parse(call?.arguments ?? '')).toEqual({ city: 'Paris' })
  })

  test('refuses a prompt that is too long', async () => {
    const answer = await session().ask(chatJob('word '.repeat(2_000)))
    expect(answer.ended).toMatchObject({ type: 'failed', error: { code: 'prompt_too_long' } })
    expect(answer.frames).toEqual([])
  })

  test('samples the same again for the same seed, and something else for another', async () => {
    const [first, again, other] = await Promise.all([
      session().ask(chatJob(story, { sampling: sampled })),
      session().ask(chatJob(story, { sampling: sampled })),
      session().ask(chatJob(story, { sampling: { ...sampled, seed: 4_243 } })),
    ])
    expect(again.text).toBe(first.text)
    expect(again.tokenIds).toEqual(first.tokenIds)
    expect(other.text).not.toBe(first.text)
  })
}

function describeOwnPrompt(session: () => EngineSession): void {
  test('says both figures when a prompt is too long', async () => {
    const answer = await session().ask(chatJob('word '.repeat(2_000)))
    const message = answer.ended?.type === 'failed' ? answer.ended.error.message : ''
    expect(message).toMatch(/prompt has \d{4} tokens; the context is 1024 tokens/)
    expect(answer.started).toBeNull()
  })

  test('takes special tokens in a message as plain text', async () => {
    const plain = await session().ask(chatJob('a <|im_enx|> b', { maxTokens: 1 }))
    const special = await session().ask(chatJob('a <|im_end|> b', { maxTokens: 1 }))
    // As one token it would make the prompt shorter by about the tokens of its text.
    expect(special.started?.promptTokens).toBeGreaterThanOrEqual(
      (plain.started?.promptTokens ?? 0) - 1,
    )
  })
}

function describeFullContext(start: StartEngine): void {
  test('never shifts: an answer that fills the context ends there, and cannot be continued', async () => {
    // A multiple of 256: llama.cpp rounds up to it, and only then the library's own limit is the same.
    const small = new EngineSession(start, { ...demoModel, contextTokens: 256, slots: 1 })
    try {
      const numbers = Array.from({ length: 40 }, (_, i) => i + 1).join(', ')
      const question = { role: 'user', content: 'Count from 1 to 40.' } as const
      const chat = chatJob('', {
        messages: [question, { role: 'assistant', content: numbers }, question],
      })
      const answer = await small.ask(chat)
      expect(answer.ended).toMatchObject({ type: 'finished', reason: 'length' })
      expect((answer.started?.promptTokens ?? 0) + answer.tokenIds.length).toBe(256)
      const again = await small.ask(chat, continuationAt(answer, answer.tokenIds.length))
      expect(again.ended).toMatchObject({ reason: 'length', tokens: answer.tokenIds.length })
      expect(again.tokenIds).toEqual([])
    } finally {
      await small.engine.close()
    }
  })
}

/** Without the second `started` of a job, which only tells what the first one did not know. */
function onceStarted(events: readonly EngineEvent[]): readonly EngineEvent[] {
  const seen = new Set<number>()
  return events.filter(event => {
    if (event.type !== 'started') return true
    const isFirst = !seen.has(event.stream)
    seen.add(event.stream)
    return isFirst
  })
}

function describeSlots(session: () => EngineSession, start: StartEngine): void {
  test('four jobs at once interleave, and each gets its own right answer', async () => {
    const questions = ['What is a GPU pool?', 'Who are you?', 'How do agents connect?', 'hello']
    const alone: string[] = []
    for (const question of questions) alone.push((await session().ask(chatJob(question))).text)
    const before = session().events.length
    const together = await Promise.all(questions.map(question => session().ask(chatJob(question))))
    expect(together.map(answer => answer.text)).toEqual(alone)
    const happened = onceStarted(session().events.slice(before)).map(event => event.type)
    expect(happened.indexOf('finished')).toBeGreaterThan(happened.lastIndexOf('started'))
  })

  test('jobs beyond the slots wait, in order, and are answered', async () => {
    const before = session().events.length
    const answers = await Promise.all(
      Array.from({ length: 9 }, () => session().ask(chatJob('hello'))),
    )
    expect(new Set(answers.map(answer => answer.text)).size).toBe(1)
    let running = 0
    const streams: number[] = []
    for (const event of onceStarted(session().events.slice(before))) {
      if (event.type === 'finished') running--
      if (event.type !== 'started') continue
      streams.push(event.stream)
      expect(++running).toBeLessThanOrEqual(demoModel.slots)
    }
    expect(streams).toEqual(streams.toSorted((a, b) => a - b))
  })

  test('a cancelled job falls silent and frees its slot; a cancelled waiting one never starts', async () => {
    const single = new EngineSession(start, { ...demoModel, slots: 1 })
    try {
      const running = single.begin(chatJob(story))
      const waiting = single.begin(chatJob(story))
      const last = single.begin(chatJob('hello'))
      await single.until(() => running.frames.length >= 3)
      single.engine.cancel(waiting.stream, 1)
      single.engine.cancel(running.stream, 1)
      const frames = running.frames.length
      await single.until(() => last.ended !== null)
      expect(last.text).toBe('Hello! How can I help you?')
      expect(running.frames.length).toBe(frames)
      expect([running.ended, waiting.started, waiting.ended]).toEqual([null, null, null])
    } finally {
      await single.engine.close()
    }
  })
}

/** Cuts an answer behind each of its tokens and lets it be continued from there. */
async function expectContinuable(session: EngineSession, chat: ChatJob): Promise<void> {
  const uncut = await session.ask(chat)
  expect(uncut.tokenIds.length).toBeGreaterThan(20)
  const delivered = (tokens: number) =>
    uncut.frames
      .filter(frame => frame.tokenId !== null && frame.index < tokens)
      .flatMap(frame => frame.segments)
  for (let tokens = 0; tokens <= uncut.tokenIds.length; tokens++) {
    const rest = await session.ask(chat, continuationAt(uncut, tokens))
    expectSameAnswer(rest, uncut, tokens)
    expect(joinSegments([...delivered(tokens), ...rest.output])).toEqual(uncut.output)
  }
}

function expectSameAnswer(rest: Answer, uncut: Answer, tokens: number): void {
  expect(rest.started?.promptSha256).toBe(uncut.started?.promptSha256 ?? '')
  expect([...uncut.tokenIds.slice(0, tokens), ...rest.tokenIds]).toEqual([...uncut.tokenIds])
  const { stream, ...end } = rest.ended ?? { stream: 0 }
  expect({ ...end, stream: uncut.stream }).toEqual({
    ...uncut.ended,
    stream: uncut.stream,
  } as never)
  expect(stream).not.toBe(uncut.stream)
}

function describeContinuing(session: () => EngineSession): void {
  describe('an answer cut behind any token and continued has the same ids and text', () => {
    test('greedy', async () => {
      await expectContinuable(session(), chatJob('What is a GPU pool?', { stop: ['together.'] }))
    })
    test('sampled', async () => {
      await expectContinuable(session(), chatJob(story, { sampling: sampled, maxTokens: 60 }))
    })
    test('a tool call, behind a prompt of more than one small piece', async () => {
      await expectContinuable(session(), weather)
    })
  })

  test('a continuation of another prompt is refused before its first token', async () => {
    const answer = await session().ask(chatJob('hello'))
    const other = await session().ask(chatJob('Who are you?'), continuationAt(answer, 2))
    expect(other.ended).toMatchObject({ type: 'failed', error: { code: 'internal' } })
    expect(other.frames).toEqual([])
  })

  test('a continuation that claims more delivered text than its tokens give is refused', async () => {
    const answer = await session().ask(chatJob('hello'))
    const continuation = { ...continuationAt(answer, 2), deliveredBytes: 1_000 }
    const other = await session().ask(chatJob('hello'), continuation)
    expect(other.ended).toMatchObject({ type: 'failed', error: { code: 'internal' } })
    expect(other.frames).toEqual([])
  })
}

function describeTextAlone(session: () => EngineSession): void {
  test('tells tokens without ids and a prompt without a hash, and the prompt’s figure in the end', async () => {
    const answer = await session().ask(chatJob('hello'))
    const ids = new Set(answer.frames.map(frame => frame.tokenId))
    expect(ids.has('unknown')).toBe(true)
    expect(answer.tokenIds).toEqual([])
    expect(answer.started).toMatchObject({ promptSha256: null, promptTokens: expect.any(Number) })
  })

  test('refuses to continue an answer, before its first token', async () => {
    const continuation = { tokenIds: [1, 2], deliveredBytes: 3, promptSha256: 'a'.repeat(64) }
    const answer = await session().ask(chatJob('hello'), continuation)
    expect(answer.ended).toMatchObject({ type: 'failed', error: { code: 'internal' } })
    expect(answer.frames).toEqual([])
  })
}

function describeProcess(start: StartEngine): void {
  test('a killed process is one death with the signal in it, and nothing after', async () => {
    const doomed = new EngineSession(start, demoModel)
    const answer = doomed.begin(chatJob(story))
    await doomed.until(() => answer.frames.length > 0)
    process.kill(doomed.engine.pid ?? 0, 'SIGKILL')
    await doomed.until(() => doomed.eventOf('died') !== undefined)
    expect(doomed.events.at(-1)).toMatchObject({
      type: 'died',
      exit: 'signal SIGKILL',
      error: { code: 'worker_died', message: expect.stringContaining('SIGKILL') },
    })
    await doomed.engine.close()
    expect(doomed.events.filter(event => event.type === 'died').length).toBe(1)
    expect(answer.ended).toBeNull()
  })

  test('close leaves no process, in the middle of a load and of an answer', async () => {
    for (const wanted of ['loading', 'token_frame'] as const) {
      const closed = new EngineSession(start, demoModel)
      closed.begin(chatJob(story))
      await closed.until(() => closed.eventOf(wanted) !== undefined)
      const pid = closed.engine.pid ?? 0
      await closed.engine.close()
      expect(() => process.kill(pid, 0)).toThrow()
      expect(closed.eventOf('died')).toBeUndefined()
    }
  })

  test('a file that is no model fails the load and the jobs that waited for it', async () => {
    const broken = new EngineSession(start, { ...demoModel, modelPath: import.meta.path })
    try {
      const answer = await broken.ask(chatJob('hello'))
      expect(broken.eventOf('load_failed')?.error.code).toBe('model_file_invalid')
      expect(answer.ended).toMatchObject({ type: 'failed', error: { code: 'model_file_invalid' } })
    } finally {
      await broken.engine.close()
    }
  })
}
