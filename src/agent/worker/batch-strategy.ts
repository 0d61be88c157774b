import type { CustomBatchingPrioritizationStrategy } from 'node-llama-cpp'

/**
 * Rounds of the dispatcher that may pass without a batch. A round is a few microtasks, and a sequence that was just sampled
 * is queued again a few rounds later. The bound keeps a stalled job from stopping the others.
 */
export const waitRoundsMax = 16

/**
 * Tokens of one batch: one-token items first, since a stream that waits behind someone else's long prompt stutters;
 * the rest is shared among the prompts, evenly, in order.
 * @param lengths tokens that each item has queued
 * @returns tokens to process of each item, in the same order
 */
export function shareBatch(lengths: readonly number[], batchTokens: number): readonly number[] {
  const shares: number[] = lengths.map(length => (length === 1 ? 1 : 0))
  let left = batchTokens - shares.reduce((sum, share) => sum + share, 0)
  let waiting = lengths.flatMap((length, i) => (length > 1 ? [i] : []))
  while (left > 0 && waiting.length > 0) {
    const each = Math.max(1, Math.floor(left / waiting.length))
    for (const i of waiting) {
      const more = Math.min(each, left, (lengths[i] ?? 0) - (shares[i] ?? 0))
      shares[i] = (shares[i] ?? 0) + more
      left -= more
    }
    waiting = waiting.filter(i => (shares[i] ?? 0) < (lengths[i] ?? 0))
  }
  return shares
}

/**
 * Makes node-llama-cpp batch all running sequences. Its dispatcher (3.22.1) takes what is queued the moment the last
 * token is sampled, and the sequence that was sampled last is never queued by then: with 2, 4 and 8 streams it ran
 * batches of 1, 3 and 7. Giving it nothing for a few rounds makes it look again.
 * @param activeSequences how many sequences are about to queue something
 */
export function createBatchStrategy(
  activeSequences: () => number,
): CustomBatchingPrioritizationStrategy {
  let waited = 0
  return ({ items, size }) => {
    if (items.length < activeSequences() && waited < waitRoundsMax) {
      waited++
      return []
    }
    waited = 0
    const shares = shareBatch(
      items.map(item => item.tokens.length),
      size,
    )
    // An item without a share must be left out: the library processes at least one token of each that it gets.
    return items.flatMap((item, i) => {
      const processAmount = shares[i] ?? 0
      return processAmount === 0 ? [] : [{ item, processAmount }]
    })
  }
}
