import type { DeviceSpeed } from '../capability/score.ts'

/**
 * How long a device is expected to take for a job while it has others. All of it is relative: the model is the same for
 * everybody who is compared, so the reference model's figures stand for it.
 */
export type Pace = {
  readonly msPerPromptToken: number
  readonly msPerAnswerToken: number
  /** What each job that runs beside it adds, as a share of its own time. */
  readonly crowding: number
}

/** The commonest job: what agents are ranked by before anything is known of a job. */
export const typicalJob = { promptTokens: 1_000, answerTokens: 250 }

/**
 * A GPU reads the weights once for all answers of a batch, so what others cost is mostly their prompts; a processor
 * computes all of it.
 */
const crowding = { gpu: 0.35, cpu: 1 }

/** @returns by how many doublings of its time a job takes longer beside so many others */
export const crowdDoublings = ({ crowding: share }: Pace, others: number): number =>
  (share === crowding.gpu ? gpuDoublings : cpuDoublings)[others] ?? Math.log2(1 + share * others)

/** Of as many jobs as agents mostly have: every lease and release asks for each model of the agent. */
const doublingsBy = (share: number): readonly number[] =>
  Array.from({ length: 64 }, (_, others) => Math.log2(1 + share * others))
const gpuDoublings = doublingsBy(crowding.gpu)
const cpuDoublings = doublingsBy(crowding.cpu)

/** An 8B model on a desktop's main memory. */
const processorPace: Pace = { msPerPromptToken: 40, msPerAnswerToken: 150, crowding: crowding.cpu }
/** A card that no table knows and nobody has measured yet is taken for a slow one. */
const unknownCard = { decodeTokensPerS: 10, prefillTokensPerS: 100 }

/** @param speed null: no card, or it is not known on what the model runs */
export function paceOf(speed: DeviceSpeed | null, whole: boolean): Pace {
  if (speed === null) return processorPace
  const decode = speed.decodeTokensPerS ?? unknownCard.decodeTokensPerS
  const prefill = speed.prefillTokensPerS ?? unknownCard.prefillTokensPerS
  return {
    msPerPromptToken: 1_000 / Math.max(prefill, slowest),
    msPerAnswerToken: 1_000 / Math.max(decode, slowest),
    crowding: whole ? crowding.gpu : crowding.cpu,
  }
}

/** Tokens per second; keeps a card that was measured at nothing from taking for ever. */
const slowest = 0.1

/** @returns how long the device itself takes, ms */
export const aloneMs = (pace: Pace, promptTokens: number, answerTokens: number): number =>
  promptTokens * pace.msPerPromptToken + answerTokens * pace.msPerAnswerToken
