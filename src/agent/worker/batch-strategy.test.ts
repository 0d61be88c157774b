import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import type { BatchItem } from 'node-llama-cpp'
import { BatchCounter } from './batch-statistics.ts'
import {
  chooseBatch,
  createBatchStrategy,
  prioritySaying,
  waitRoundsMax,
} from './batch-strategy.ts'

const item = (tokens: number, sequence = 0): BatchItem => ({
  tokens: Array.from({ length: tokens }, () => 1 as BatchItem['tokens'][number]),
  logits: [],
  evaluationPriority: prioritySaying(sequence),
})

describe('a batch', () => {
  test('holds a piece of a prompt or every answer, in turns', () => {
    expect(chooseBatch([1, 256, 1, 256], 0, 512)).toEqual([1])
    expect(chooseBatch([1, 256, 1, 256], 256, 512)).toEqual([0, 2])
    expect(chooseBatch([1, 1], 0, 512)).toEqual([0, 1])
    expect(chooseBatch([256, 100], 400, 512)).toEqual([0])
  })

  test('of answers waits for several short prompts, but for less than a batch of them', () => {
    expect(chooseBatch([1, 95, 95], 380, 512)).toEqual([1])
    expect(chooseBatch([1, 95, 95], 475, 512)).toEqual([0])
  })

  test('takes small pieces together', () => {
    expect(chooseBatch([1, 32, 256, 5], 0, 512)).toEqual([1, 3])
    expect(chooseBatch([256, 32, 5], 0, 512)).toEqual([0])
  })

  test('comes to everybody: answers wait for less than a batch of prompts, or for one piece', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 512 }), { minLength: 1, maxLength: 16 }),
        lengths => {
          const pieces = new Set([...lengths.keys()].filter(i => lengths[i] !== 1))
          const answers = [...lengths.keys()].filter(i => lengths[i] === 1)
          let [promptTokens, inTurn] = [0, 0]
          for (let round = 0; pieces.size > 0; round++) {
            expect(round).toBeLessThan(2 * lengths.length)
            // Answers come back at once, a piece leaves.
            const queued = [...answers, ...pieces]
            const chosen: number[] = chooseBatch(
              queued.map(i => lengths[i] ?? 0),
              promptTokens,
              512,
            ).map(at => queued[at] ?? -1)
            if (answers.length > 0 && chosen.includes(answers[0] ?? -1)) {
              expect(chosen).toEqual(answers)
              expect(inTurn).toBeGreaterThan(0)
              promptTokens = inTurn = 0
              continue
            }
            inTurn++
            for (const i of chosen) {
              pieces.delete(i)
              promptTokens += lengths[i] ?? 0
            }
            if (answers.length > 0 && inTurn > 1) expect(promptTokens).toBeLessThan(512 + 512)
          }
        },
      ),
    )
  })
})

describe('the strategy', () => {
  test('waits for all running sequences, but not for ever, and counts who was missing', () => {
    const counter = new BatchCounter()
    const strategy = createBatchStrategy(() => 2, counter)
    const items = [item(1)]
    for (let round = 0; round < waitRoundsMax; round++)
      expect(strategy({ items, size: 512 })).toEqual([])
    expect(strategy({ items, size: 512 })).toEqual([{ item: items[0], processAmount: 1 } as never])
    expect(strategy({ items, size: 512 })).toEqual([])
    expect(counter.statistics).toMatchObject({
      answerPasses: 1,
      answerTokens: 1,
      answerTokensIfFull: 2,
    })
  })

  test('goes at once when everybody is there; a prompt is nobody missing', () => {
    const counter = new BatchCounter()
    const strategy = createBatchStrategy(() => 3, counter)
    const amounts = () =>
      strategy({ items: [item(1, 1), item(300, 2), item(1, 0)], size: 512 }).map(
        one => one.processAmount,
      )
    expect([amounts(), amounts()]).toEqual([[300], [1, 1]])
    expect(counter.statistics).toEqual({
      answerPasses: 1,
      answerTokens: 2,
      answerTokensIfFull: 2,
      promptBatches: 1,
      promptTokens: 300,
    })
  })

  test('puts the sequences in order, and counts the passes that gaps between them cost', () => {
    const counter = new BatchCounter()
    const items = [item(1, 3), item(1, 0), item(1, 1), item(1, 5)]
    const batch = createBatchStrategy(() => 4, counter)({ items, size: 512 })
    expect(batch.map(one => one.item.evaluationPriority as number)).toEqual([0, 1, 3, 5])
    expect(counter.statistics).toMatchObject({
      answerPasses: 3,
      answerTokens: 4,
      answerTokensIfFull: 12,
    })
  })

  test('never gives more than a batch holds', () => {
    const strategy = createBatchStrategy(() => 1, new BatchCounter())
    expect(strategy({ items: [item(600)], size: 512 })).toMatchObject([{ processAmount: 512 }])
  })
})
