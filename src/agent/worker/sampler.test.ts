import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import type { Sampling } from '../../protocol/chat-job.ts'
import { chatJob, demoModel, EngineSession } from '../engine/engine-harness.ts'
import { startLlamaEngine } from '../engine/llama-engine.ts'

let session: EngineSession
beforeAll(() => {
  session = new EngineSession(startLlamaEngine, demoModel)
})
afterAll(() => session.engine.close())

const warm = { temperature: 1, topP: 1, seed: 7 }
const story = (sampling: Partial<Sampling> = {}, maxTokens = 60) =>
  chatJob('Tell me a short story.', { sampling: { ...warm, ...sampling }, maxTokens })
const ask = (sampling: Partial<Sampling> = {}, maxTokens = 60) =>
  session.ask(story(sampling, maxTokens))
const idsOf = async (sampling: Partial<Sampling> = {}) => (await ask(sampling)).tokenIds

/** The most often that one token occurs. */
function mostRepeats(tokenIds: readonly number[]): number {
  const counts = new Map<number, number>()
  for (const id of tokenIds) counts.set(id, (counts.get(id) ?? 0) + 1)
  return Math.max(...counts.values())
}

describe('how tokens are drawn', () => {
  test('one candidate, by top_k or by min_p, is the likeliest whatever the temperature', async () => {
    const greedy = await idsOf({ temperature: 0 })
    expect(await idsOf()).not.toEqual(greedy)
    expect(await idsOf({ topK: 1 })).toEqual(greedy)
    expect(await idsOf({ minP: 1 })).toEqual(greedy)
  })

  test('no candidate is left out that nobody asked to leave out', async () => {
    // The library's own defaults are these two.
    const wild = { temperature: 2 }
    expect(await idsOf(wild)).not.toEqual(await idsOf({ ...wild, topK: 40 }))
    expect(await idsOf(wild)).not.toEqual(await idsOf({ ...wild, topP: 0.95 }))
  })

  test('a bias of 100 forces a token, one of -100 bans it', async () => {
    const plain = await idsOf({ temperature: 0 })
    const [first = 0, second = 0] = plain
    const forced = await ask({ logitBias: [{ tokenId: second, bias: 100 }] }, 5)
    expect(forced.tokenIds).toEqual([second, second, second, second, second])
    const banned = await idsOf({ temperature: 0, logitBias: [{ tokenId: first, bias: -100 }] })
    expect(banned.length).toBeGreaterThan(5)
    expect(banned).not.toContain(first)
  })

  test('a bias for a token that the model lacks, or that ends a turn, is refused for that job alone', async () => {
    const unknown = await ask({ logitBias: [{ tokenId: 999_999, bias: 1 }] })
    expect(unknown.ended).toMatchObject({
      type: 'failed',
      error: { code: 'invalid_request', message: expect.stringContaining('999999') },
    })
    const hello = await session.ask(chatJob('hello'))
    const end = hello.tokenIds.at(-1) ?? 0
    const ending = await ask({ logitBias: [{ tokenId: end, bias: -100 }] })
    expect(ending.ended).toMatchObject({ type: 'failed', error: { code: 'unsupported' } })
    expect((await session.ask(chatJob('hello'))).text).toBe(hello.text)
  })

  test.each([
    ['frequency', { frequencyPenalty: 2 }],
    ['presence', { presencePenalty: 2 }],
    ['repetition', { repetitionPenalty: 4 }],
  ])('a %s penalty makes the answer repeat itself less', async (_, penalty) => {
    const repeating = { temperature: 0 }
    expect(mostRepeats(await idsOf({ ...repeating, ...penalty }))).toBeLessThan(
      mostRepeats(await idsOf(repeating)),
    )
  })

  test('with a seed the same options give the same answer', async () => {
    const options = { topK: 20, minP: 0.01, frequencyPenalty: 0.5, presencePenalty: 0.5 }
    expect(await idsOf(options)).toEqual(await idsOf(options))
    expect(await idsOf({ ...options, seed: 8 })).not.toEqual(await idsOf(options))
  })
})
