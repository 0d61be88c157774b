import type { BatchItem, CustomBatchingPrioritizationStrategy } from 'node-llama-cpp'
import type { BatchCounter } from './batch-statistics.ts'
import { replayPieceTokensMax } from './prefill.ts'

/**
 * Rounds of the dispatcher that may pass without a batch. A round is a few microtasks, and a sequence that was just sampled
 * is queued again a few rounds later. The bound keeps a stalled job from stopping the others.
 */
export const waitRoundsMax = 16

/**
 * Chooses what is computed next: one token of every answer, or a piece of a prompt, in turns, so that a long prompt gets
 * on and a stream waits for less than a batch of prompts between two tokens: for one large piece, or for several small
 * ones, since answers that begin together are computed together. They share no batch, because llama.cpp would cut
 * it: with separate caches it computes as many tokens of each sequence as the shortest has, which is two passes
 * all the same, and a piece that was cut has other last bits. Pieces take turns as they were queued; those so small
 * that company does not change them go together.
 * @param lengths tokens that each item has queued
 * @param promptTokens computed since the last batch of answers
 * @param size tokens that a batch holds
 * @returns indexes of the items to process
 */
export function chooseBatch(
  lengths: readonly number[],
  promptTokens: number,
  size: number,
): readonly number[] {
  const answers = lengths.flatMap((length, i) => (length === 1 ? [i] : []))
  const pieces = lengths.flatMap((length, i) => (length === 1 ? [] : [i]))
  const [first] = pieces
  if (first === undefined) return answers
  const turnIsOver = promptTokens > 0 && promptTokens + (lengths[first] ?? 0) >= size
  if (answers.length > 0 && turnIsOver) return answers
  const isSmall = (i: number) => (lengths[i] ?? 0) <= replayPieceTokensMax
  return isSmall(first) ? pieces.filter(isSmall) : [first]
}

/**
 * The library's priority of an evaluation, 1 to 5 for its own strategies, is all that it hands on to another strategy. Here
 * it says which sequence the item is of.
 */
export const prioritySaying = (sequence: number): BatchItem['evaluationPriority'] =>
  sequence as BatchItem['evaluationPriority']

const sequenceOf = (item: BatchItem | undefined): number => item?.evaluationPriority ?? 0

/** @param numbers in ascending order */
export const consecutiveRuns = (numbers: readonly number[]): number =>
  numbers.filter((number, i) => i === 0 || number !== (numbers[i - 1] ?? 0) + 1).length

/**
 * Makes node-llama-cpp batch all running sequences. Its dispatcher (3.22.1) takes what is queued the moment the last
 * token is sampled, and the sequence that was sampled last is never queued by then: with 2, 4 and 8 streams it ran
 * batches of 1, 3 and 7. Giving it nothing for a few rounds makes it look again.
 * The batch is in the order of the sequences: out of order llama.cpp (0.5.0, `split_equal`) computes it in as many passes as
 * it finds runs of consecutive sequence numbers, so that a full batch of four could cost four.
 * @param runningSequences how many sequences are about to queue something
 */
export function createBatchStrategy(
  runningSequences: () => number,
  counter: BatchCounter,
): CustomBatchingPrioritizationStrategy {
  let waited = 0
  let promptTokens = 0
  return ({ items, size }) => {
    const running = runningSequences()
    if (items.length < running && waited < waitRoundsMax) {
      waited++
      return []
    }
    waited = 0
    const lengths = items.map(item => item.tokens.length)
    const sequenceAt = (i: number) => sequenceOf(items[i])
    const chosen = chooseBatch(lengths, promptTokens, size).toSorted(
      (a, b) => sequenceAt(a) - sequenceAt(b),
    )
    let left = size
    const batch = chosen.flatMap(i => {
      const item = items[i]
      const processAmount = Math.min(left, lengths[i] ?? 0)
      left -= processAmount
      // An item without a share must be left out: the library processes at least one token of each that it gets.
      return item === undefined || processAmount === 0 ? [] : [{ item, processAmount }]
    })
    const pieces = lengths.filter(length => length > 1).length
    if (lengths[chosen[0] ?? 0] === 1) {
      promptTokens = 0
      const ifFull = Math.max(items.length, running) - pieces
      counter.answers(size - left, ifFull, consecutiveRuns(chosen.map(sequenceAt)))
    } else {
      promptTokens += size - left
      counter.prompts(size - left)
    }
    return batch
  }
}
