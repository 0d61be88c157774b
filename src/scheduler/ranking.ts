import type { Agent, Instance } from './agent.ts'
import type { Fit } from './capacity.ts'
import type { ModelFacts } from './event.ts'
import {
  aloneMs,
  crowdDoublings,
  crowding,
  paceOf,
  typicalJob,
  type Pace,
} from './expected-time.ts'

/**
 * An agent that could run a model's jobs, with the instance they would run on (undefined: it would have to load first).
 * What it is compared by lies beside it, so that a comparison computes nothing; `rankAnew` brings it up to date.
 */
export type Candidate = {
  readonly agent: Agent
  readonly model: ModelFacts
  readonly instance: Instance | undefined
  /** How it holds, or would hold, the model; see `fitRanks`. */
  readonly fitRank: number
  readonly pace: Pace
  /** The machine could hold a larger model of the catalogue. */
  readonly isKept: boolean
  /** Readiness, fit and heat: whoever has less goes before, whatever comes behind. */
  rank: number
  /** Doublings of the time of a typical job, failures included and others not. */
  slowness: number
  /** The same with the jobs that the agent has, in steps. */
  cost: number
  latencyMs: number
  /** Its place in the heap of those that are free. */
  at: number
}

/** The place of a candidate that is in no heap. */
export const notInHeap = -1

/** @param largerMb GPU memory from which a machine could hold a larger model; see `largerModelMb` */
export function candidateOf(
  agent: Agent,
  model: ModelFacts,
  instance: Instance | undefined,
  largerMb: number,
): Candidate {
  const capability = capabilityOf(agent, model, instance, largerMb)
  const unranked = { rank: 0, slowness: 0, cost: 0, latencyMs: 0, at: notInHeap }
  const candidate = { agent, model, instance, ...capability, ...unranked }
  rankAnew(candidate)
  return candidate
}

/** After a change of reliability or latency. */
export function rankAnew(candidate: Candidate): void {
  const { agent, instance, fitRank, isKept } = candidate
  const fit = (readiness(instance) * fitRanksMax + fitRank) * 2 + Number(agent.health.slowed)
  candidate.rank = fit * 2 + Number(isKept && instance === undefined)
  candidate.slowness = Math.log2(unloadedMs(candidate, typicalJob.promptTokens))
  candidate.latencyMs = agent.latencyMs ?? unknownLatencyMs
  weighAnew(candidate)
}

/** After a lease of its agent was given or has ended. */
export function weighAnew(candidate: Candidate): void {
  const crowd = crowdDoublings(candidate.agent.leaseCount)
  candidate.cost = Math.floor((candidate.slowness + crowd) * stepsPerDoubling)
}

/** @returns how long the agent is expected to take for a job, ms, what goes wrong and the jobs that it has included */
export const expectedMs = (candidate: Candidate, promptTokens: number): number =>
  unloadedMs(candidate, promptTokens) * crowding(candidate.agent.leaseCount)

const unloadedMs = ({ agent, pace, isKept }: Candidate, promptTokens: number): number =>
  (aloneMs(pace, promptTokens) * (isKept ? keptFactor : 1)) / trustIn(agent)

/**
 * A machine that could hold a larger model of the catalogue counts as half as fast for a smaller one. `bench policies`: that
 * costs nothing, and from a quarter on the small model's answers wait for what the large one's do not gain.
 */
const keptFactor = 2

/** A job that is tried until it succeeds takes 1 / p times as long. */
const trustIn = ({ reliability }: Agent): number => Math.max(reliability, trustMin)
/** Below, an agent is so bad that it does not matter how bad. */
const trustMin = 0.05

/** A fifth of the time: less is within what is known of a machine, and lets latency decide. */
export const stepsPerDoubling = 4

function capabilityOf(
  agent: Agent,
  model: ModelFacts,
  instance: Instance | undefined,
  largerMb: number,
): Pick<Candidate, 'fitRank' | 'isKept' | 'pace'> {
  const isKept = false
  // What an owner's engine runs on is not known; no machine is better for it than another.
  if (model.external !== undefined) return { fitRank: fitRanks.gpu, pace: paceOf(null), isKept }
  if (instance?.withoutGpu ?? agent.capacity.mustNotUseGpu)
    return { fitRank: fitRanks.cpu, pace: paceOf(null), isKept }
  const { kind, device } = agent.capacity.fit(model)
  return {
    fitRank: fitRanks[kind],
    pace: paceOf(device?.speed ?? null),
    isKept: kind === 'gpu' && (device?.memoryMb ?? 0) >= largerMb,
  }
}

/** The processor is overflow (specification 1.1). What is held though the figures said no lies there at worst. */
const fitRanks: Readonly<Record<Fit['kind'], number>> = { gpu: 0, partial: 1, cpu: 2, none: 2 }
export const fitRanksMax = 3

/** Whole on a GPU: nothing is better. */
export const isBestFit = (candidate: Candidate): boolean => candidate.fitRank === fitRanks.gpu

/**
 * Orders candidates for one model, best first: model in memory before loading before not there; whole on a GPU before in
 * part before main memory; not slowed by heat; then by the time that a job is expected to take, which is the device's speed,
 * the agent's reliability and its load in one figure; then by latency (specification 2.2). The time counts in steps, for
 * else latency would never count. Equal ones go by id, so that a decision depends on nothing but its inputs.
 */
export const compareCandidates = (a: Candidate, b: Candidate): number =>
  a.rank - b.rank ||
  a.cost - b.cost ||
  a.latencyMs - b.latencyMs ||
  (a.agent.id < b.agent.id ? -1 : a.agent.id > b.agent.id ? 1 : 0)

/** Whether a candidate that has something else for it may go before the best one: no worse but for a few steps of time. */
export const isNearly = (candidate: Candidate, best: Candidate, stepsMore: number): boolean =>
  candidate.rank <= best.rank && candidate.cost <= best.cost + stepsMore

/** An agent whose latency was never measured ranks behind a near one and before a slow one. */
const unknownLatencyMs = 100

const readiness = (instance: Instance | undefined): number =>
  instance === undefined ? 2 : instance.status.state === 'ready' ? 0 : 1
