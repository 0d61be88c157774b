import type { DeviceSpeed } from '../capability/score.ts'

/**
 * How fast a device is. All of it is relative: the model is the same for everybody who is compared, so the figures of the
 * reference model stand for it.
 */
export type Pace = { readonly msPerPromptToken: number; readonly msPerAnswerToken: number }

/** What agents are ranked by before anything is known of a job: a few turns into a conversation. */
export const typicalJob = { promptTokens: 1_500, answerTokens: 200 }

/** An 8B model on a desktop's main memory. */
const processorPace: Pace = { msPerPromptToken: 40, msPerAnswerToken: 150 }
/** A card that no table knows and nobody has measured yet is taken for a slow one. */
const unknownCard = { decodeTokensPerS: 10, prefillTokensPerS: 100 }
/** Tokens per second; keeps a card that was measured at nothing from taking for ever. */
const slowest = 0.1

/** @param speed null: no card, or it is not known on what the model runs */
export function paceOf(speed: DeviceSpeed | null): Pace {
  if (speed === null) return processorPace
  const decode = speed.decodeTokensPerS ?? unknownCard.decodeTokensPerS
  const prefill = speed.prefillTokensPerS ?? unknownCard.prefillTokensPerS
  return {
    msPerPromptToken: 1_000 / Math.max(prefill, slowest),
    msPerAnswerToken: 1_000 / Math.max(decode, slowest),
  }
}

/**
 * How many times as long a job takes beside so many others: each adds the whole of itself. A GPU reads the weights once for
 * all answers of a batch, but between two tokens of theirs lies a piece of somebody's prompt. `bench policies` found less
 * (0.2, 0.35, 0.6) to be worse for the time to the first token, and more (1.5) no better.
 */
export const crowding = (others: number): number => 1 + others

/** The same in doublings: every lease and release asks for it, for each model of the agent. */
export const crowdDoublings = (others: number): number =>
  doublings[others] ?? Math.log2(crowding(others))

const doublings: readonly number[] = Array.from({ length: 64 }, (_, others) =>
  Math.log2(crowding(others)),
)
