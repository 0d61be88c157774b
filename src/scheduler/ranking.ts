import type { AgentId } from '../protocol/ids.ts'
import type { Agent, Instance } from './agent.ts'
import type { Fit } from './capacity.ts'
import type { ModelFacts } from './event.ts'
import { crowdDoublings, crowding, paceOf, typicalJob, type Pace } from './expected-time.ts'

/**
 * An agent that could run a model's jobs, with the instance they would run on (undefined: it would have to load first).
 * What it is compared by lies beside it as plain numbers, so that a decision computes little and looks nothing up elsewhere;
 * `rankAnew` and `weighAnew` bring it up to date.
 */
export type Candidate = {
  readonly agent: Agent
  readonly agentId: AgentId
  readonly model: ModelFacts
  readonly instance: Instance | undefined
  /** How it holds, or would hold, the model; see `fitRanks`. */
  readonly fitRank: number
  readonly pace: Pace
  /** The machine could hold a larger model of the catalogue. */
  readonly isKept: boolean
  /** Readiness, fit and heat: whoever has less goes before, whatever comes behind. */
  rank: number
  /** With what goes wrong: of a token of a prompt, and of a typical answer, when the agent has nothing else to do. */
  msPerPromptToken: number
  answerMs: number
  /** How many times as long it takes beside the jobs that the agent has. */
  crowding: number
  /** Doublings of the time of a typical job without others. */
  slowness: number
  /** The same with the jobs that the agent has, in steps. */
  cost: number
  latencyMs: number
  /** Rank, cost and latency in one number. */
  key: number
  /** Its number in the heap of those that are free. */
  slot: number
}

/** Of a candidate that is in no heap. */
export const notInHeap = -1

/** @param largerMb GPU memory from which a machine could hold a larger model; see `largerModelMb` */
export function candidateOf(
  agent: Agent,
  model: ModelFacts,
  instance: Instance | undefined,
  largerMb: number,
): Candidate {
  const candidate: Candidate = {
    agent,
    agentId: agent.id,
    model,
    instance,
    ...capabilityOf(agent, model, instance, largerMb),
    rank: 0,
    msPerPromptToken: 0,
    answerMs: 0,
    crowding: 1,
    slowness: 0,
    cost: 0,
    latencyMs: 0,
    key: 0,
    slot: notInHeap,
  }
  rankAnew(candidate)
  return candidate
}

/** After a change of reliability or latency. */
export function rankAnew(candidate: Candidate): void {
  const { agent, instance, fitRank, isKept, pace } = candidate
  const fit = (readiness(instance) * fitRanksMax + fitRank) * 2 + Number(agent.health.slowed)
  const times = (isKept ? keptFactor : 1) / trustIn(agent)
  candidate.rank = fit * 2 + Number(isKept && instance === undefined)
  candidate.msPerPromptToken = pace.msPerPromptToken * times
  candidate.answerMs = pace.msPerAnswerToken * typicalJob.answerTokens * times
  candidate.slowness = Math.log2(
    candidate.msPerPromptToken * typicalJob.promptTokens + candidate.answerMs,
  )
  candidate.latencyMs = Math.round(agent.latencyMs ?? unknownLatencyMs)
  weighAnew(candidate, agent.leaseCount)
}

/** After a lease of its agent was given or has ended. @param jobs that the agent has now */
export function weighAnew(candidate: Candidate, jobs: number): void {
  candidate.crowding = crowding(jobs)
  candidate.cost = Math.floor((candidate.slowness + crowdDoublings(jobs)) * stepsPerDoubling)
  candidate.key =
    (candidate.rank * costsMax + within(candidate.cost, costsMax)) * latenciesMax +
    within(candidate.latencyMs, latenciesMax)
}

/** More steps than anybody's time has; and a minute, beyond which latency does not matter. */
const costsMax = 1_024
const latenciesMax = 65_536
const within = (value: number, limit: number): number => Math.max(0, Math.min(limit - 1, value))

/** @returns how long the agent is expected to take for a job, ms, what goes wrong and the jobs that it has included */
export const expectedMs = (candidate: Candidate, promptTokens: number): number =>
  (promptTokens * candidate.msPerPromptToken + candidate.answerMs) * candidate.crowding

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
  a.key - b.key || (a.agentId < b.agentId ? -1 : a.agentId > b.agentId ? 1 : 0)

/** Whether a candidate that has something else for it may go before the best one: no worse but for a few steps of time. */
export const isNearly = (candidate: Candidate, best: Candidate, stepsMore: number): boolean =>
  candidate.rank <= best.rank && candidate.cost <= best.cost + stepsMore

/** An agent whose latency was never measured ranks behind a near one and before a slow one. */
const unknownLatencyMs = 100

const readiness = (instance: Instance | undefined): number =>
  instance === undefined ? 2 : instance.status.state === 'ready' ? 0 : 1
