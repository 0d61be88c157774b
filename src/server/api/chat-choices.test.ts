import { describe, expect, test } from 'bun:test'
import { ManualTime } from '../../../test/support/manual-time.ts'
import { ScriptedInference, type Submission } from '../../../test/support/scripted-inference.ts'
import { newJobId } from '../../protocol/ids.ts'
import { answerChat } from './chat-answer.ts'
import { streamChat } from './chat-stream.ts'
import { choiceRequests } from './choice-requests.ts'

const receivedAt = 1_795_000_000_500

function setUp(choices = 3) {
  const time = new ManualTime(receivedAt)
  const inference = new ScriptedInference()
  const client = new AbortController()
  const { signal } = client
  const requests = choiceRequests(
    {
      jobId: newJobId(),
      keyId: 'k',
      model: 'llama',
      chat: {
        messages: [{ role: 'user', content: 'hi' }],
        tools: [],
        sampling: { temperature: 1, topP: 1, seed: 1 },
        maxTokens: null,
        stop: [],
        renderTimeMs: receivedAt,
      },
      receivedAt,
    },
    choices,
  )
  const deps = { inference, clock: time, startTimer: time.startTimer }
  const job = (choice: number): Submission => {
    const submission = inference.submissions[choice]
    if (submission === undefined) throw new Error(`answer ${choice} was not asked for`)
    return submission
  }
  return {
    inference,
    client,
    requests,
    job,
    answer: () => answerChat(deps, requests, { tier: null, signal }),
    stream: () => streamChat(deps, requests, { includeUsage: true, tier: null, signal }),
  }
}

const usage = (promptTokens: number, completionTokens: number) => ({
  promptTokens,
  completionTokens,
})
const end = (job: Submission, promptTokens: number, tokens: number) =>
  job.emit({ type: 'finished', reason: 'stop', usage: usage(promptTokens, tokens) })

test('each answer is a job of its own: another seed, the first one’s as sent, the prompt counted once', () => {
  const { requests } = setUp()
  expect(new Set(requests.map(({ jobId }) => jobId)).size).toBe(3)
  const seeds = requests.map(({ chat }) => chat.sampling.seed)
  expect(seeds[0]).toBe(1)
  expect(new Set(seeds).size).toBe(3)
  expect(setUp().requests.map(({ chat }) => chat.sampling.seed)).toEqual(seeds)
  expect(requests.map(({ promptCounts }) => promptCounts)).toEqual([undefined, false, false])
})

describe('several answers', () => {
  test('come in one object, in order, however they ended, with the usage of all', async () => {
    const { answer, job } = setUp()
    const response = answer()
    job(2).say('third')
    end(job(2), 0, 2)
    job(0).say('first')
    job(1).say('second')
    end(job(0), 7, 3)
    end(job(1), 0, 4)
    const body = await (await response).json()
    const told = (body as { choices: { index: number; message: { content: string } }[] }).choices
    expect(told.map(({ index, message }) => [index, message.content])).toEqual([
      [0, 'first'],
      [1, 'second'],
      [2, 'third'],
    ])
    expect(body).toMatchObject({
      usage: { prompt_tokens: 7, completion_tokens: 9, total_tokens: 16 },
    })
  })

  test('are streamed side by side under one id, each with its role and its end, and one [DONE]', async () => {
    const { stream, job, requests } = setUp(2)
    const response = stream()
    job(1).say('b')
    job(0).say('a')
    end(job(1), 0, 1)
    job(0).say('A')
    end(job(0), 7, 2)
    const text = await (await response).text()
    const events = text.split('\n\n').filter(part => part !== '')
    expect(events.at(-1)).toBe('data: [DONE]')
    const chunks = events.slice(0, -1).map(data => JSON.parse(data.slice('data: '.length)))
    expect(new Set(chunks.map(({ id }) => id))).toEqual(new Set([`chatcmpl-${requests[0].jobId}`]))
    const of = (index: number) =>
      chunks
        .flatMap(({ choices }) => choices)
        .filter(choice => choice.index === index)
        .map(({ delta, finish_reason: reason }) => reason ?? delta.role ?? delta.content)
    expect(of(0)).toEqual(['assistant', 'a', 'A', 'stop'])
    expect(of(1)).toEqual(['assistant', 'b', 'stop'])
    expect(chunks.at(-1)).toMatchObject({
      choices: [],
      usage: { prompt_tokens: 7, completion_tokens: 3 },
    })
  })

  test('fail together: the first failure is told once and ends the others', async () => {
    const { answer, job } = setUp()
    const response = answer()
    job(0).say('a')
    job(1).fail({ code: 'queue_full', message: 'full' })
    expect((await response).status).toBe(429)
    expect([0, 1, 2].map(choice => job(choice).cancels)).toEqual([1, 0, 1])
  })

  test('are not asked for any more once one was refused at once', async () => {
    const { answer, inference } = setUp()
    inference.onSubmit = job => job.fail({ code: 'no_capable_agent', message: 'none' })
    expect((await answer()).status).toBe(503)
    expect(inference.submissions.length).toBe(1)
  })

  test('end when the client goes; those that have come to their end stay', async () => {
    const { stream, client, job } = setUp(2)
    const response = stream()
    job(0).say('a')
    end(job(0), 7, 1)
    await response
    client.abort()
    expect([0, 1].map(choice => job(choice).cancels)).toEqual([0, 1])
  })
})
