import { describe, expect, test } from 'bun:test'
import type { EmbedJob } from '../../protocol/embed-job.ts'
import { decodeTokenFrames } from '../../protocol/token-frames.ts'
import type { VectorFrame } from '../../protocol/vector-frame.ts'
import type { EmbedEngineJob } from '../engine/engine.ts'
import { createEmbedder, type EmbedLane } from './embedder.ts'
import type { JobEntry } from './job-table.ts'
import { normalised, runEmbedJob } from './run-embed-job.ts'
import { tokenOf } from './token-of.ts'
import type { WorkerReport } from './worker-message.ts'

/** Contexts that answer when the test says so, and what the worker says of them. */
class Story {
  readonly reports: WorkerReport[] = []
  readonly vectors: VectorFrame[] = []
  readonly computing: { readonly lane: number; readonly text: string; answer: Answer }[] = []
  readonly #lanes: [EmbedLane, ...EmbedLane[]]

  constructor(lanes = 2) {
    const lane = (number: number): EmbedLane => ({
      kind: 'embedding',
      context: {
        calculateInputLength: input => input.length,
        getEmbeddingFor: input =>
          new Promise((resolve, reject) =>
            this.computing.push({
              lane: number,
              text: String.fromCharCode(...input),
              answer: { with: vector => resolve({ vector }), fail: reject },
            }),
          ),
      },
    })
    this.#lanes = [lane(0), ...Array.from({ length: lanes - 1 }, (_, i) => lane(i + 1))]
  }

  run(inputs: string[], normalise = true) {
    const embed: EmbedJob = { kind: 'embedding', inputs, normalise }
    const entry: JobEntry<EmbedEngineJob> = {
      job: { stream: 1, attempt: 0, embed },
      cancelled: false,
    }
    const embedder = createEmbedder({
      kind: 'embedding',
      contextTokens: 8,
      lanes: this.#lanes,
      tokenize: text => text.split('').map(letter => tokenOf(letter.charCodeAt(0))),
      vocabularyTokens: 256,
    })
    const ended = runEmbedJob(embedder, entry, {
      say: report => this.reports.push(report as WorkerReport),
      sendTokenFrame: bytes => {
        const message = decodeTokenFrames(bytes)
        if (typeof message === 'string') throw new Error(message)
        for (const frame of message.frames) if (frame.type === 'vector') this.vectors.push(frame)
      },
    })
    return { entry, ended }
  }

  /** Answers what is being computed, the newest first, until nothing is. */
  async answerAll(vectorOf: (text: string) => readonly number[]): Promise<void> {
    // A lane that has become free takes its next input within microtasks.
    for (let idle = 0; idle < 2; idle++) {
      await new Promise(setImmediate)
      for (let next = this.computing.pop(); next !== undefined; next = this.computing.pop()) {
        next.answer.with(vectorOf(next.text))
        idle = 0
      }
    }
  }
}
type Answer = {
  readonly with: (vector: readonly number[]) => void
  readonly fail: (error: Error) => void
}

test('inputs are computed on all lanes and sent in their order, whichever is done first', async () => {
  const story = new Story(2)
  const { ended } = story.run(['a', 'b', 'c', 'd', 'e'])
  await new Promise(setImmediate)
  expect(story.computing.map(({ lane, text }) => `${lane}${text}`)).toEqual(['0a', '1b'])
  story.computing.splice(1, 1)[0]!.answer.with([1, 0])
  await new Promise(setImmediate)
  expect(story.vectors).toEqual([])
  await story.answerAll(text => [text.charCodeAt(0), 0])
  await ended
  expect(story.vectors.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4])
  expect(story.reports).toMatchObject([{ type: 'finished' }])
})

test('a vector that the library did not make 1 long leaves the worker 1 long, unless asked not to', async () => {
  const story = new Story(1)
  const first = story.run(['a'])
  await story.answerAll(() => [3, 4])
  await first.ended
  const second = story.run(['a'], false)
  await story.answerAll(() => [3, 4])
  await second.ended
  expect(story.vectors.map(({ values }) => [...values])).toEqual([
    [...Float32Array.of(0.6, 0.8)],
    [3, 4],
  ])
})

describe('what the library gives is looked at before it is sent:', () => {
  const wrong: Record<string, readonly number[]> = {
    'an empty vector': [],
    'a vector that is not finite': [1, Number.NaN],
  }
  for (const [what, vector] of Object.entries(wrong))
    test(what, async () => {
      const story = new Story(2)
      const { ended } = story.run(['a', 'b', 'c', 'd'])
      await story.answerAll(() => vector)
      await ended
      expect(story.vectors).toEqual([])
      expect(story.reports).toMatchObject([
        { type: 'failed', error: { code: 'internal', message: `the engine made ${what}` } },
      ])
    })
})

test('an input that fails ends the job once, and frees the lanes', async () => {
  const story = new Story(2)
  const failing = story.run(['a', 'b', 'c', 'd'])
  await new Promise(setImmediate)
  story.computing.shift()!.answer.fail(new Error('Eval has failed'))
  await story.answerAll(() => [1])
  await failing.ended
  expect(story.reports).toMatchObject([
    { type: 'failed', error: { code: 'internal', message: 'the engine failed: Eval has failed' } },
  ])
  const next = story.run(['e'])
  await story.answerAll(() => [1])
  await next.ended
  expect(story.reports.at(-1)).toMatchObject({ type: 'finished' })
})

test('a cancel takes effect within one input, and nothing is said', async () => {
  const story = new Story(2)
  const { entry, ended } = story.run(['a', 'b', 'c', 'd'])
  await new Promise(setImmediate)
  entry.cancelled = true
  const began: string[] = []
  await story.answerAll(text => {
    began.push(text)
    return [1]
  })
  await ended
  expect(began.toSorted()).toEqual(['a', 'b'])
  expect(story.vectors).toEqual([])
  expect(story.reports).toEqual([])
})

test('the longest input that fits is taken, one more token is refused by its number', async () => {
  const story = new Story(1)
  const { ended } = story.run(['12345678'])
  await story.answerAll(() => [1])
  await ended
  expect(story.vectors).toMatchObject([{ promptTokens: 8 }])
  await story.run(['1', '123456789']).ended
  expect(story.reports.at(-1)).toMatchObject({
    error: {
      code: 'prompt_too_long',
      message: 'input[1] has 9 tokens; the model takes 8 tokens',
    },
  })
})

test('a vector of zeros has no direction and stays', () => {
  expect([...normalised([0, 0])]).toEqual([0, 0])
})
