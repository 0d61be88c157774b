import type { Agent, Instance } from './agent.ts'
import type { Fit } from './capacity.ts'
import type { ModelFacts } from './event.ts'

/**
 * An agent that could run a model's jobs, with the instance they would run on (undefined: it would have to load first).
 * What it is compared by lies beside it, so that a comparison computes nothing; `rankAnew` brings it up to date.
 */
export type Candidate = {
  readonly agent: Agent
  readonly model: ModelFacts
  readonly instance: Instance | undefined
  /** How it holds, or would hold, the model; see `fitRanks`. */
  fitRank: number
  /** Everything of the order that a lease does not change, smaller is better. */
  rank: number
  load: number
  latencyMs: number
  /** Its place in the heap of those that are free. */
  at: number
}

/** The place of a candidate that is in no heap. */
export const notInHeap = -1

export function candidateOf(
  agent: Agent,
  model: ModelFacts,
  instance: Instance | undefined,
): Candidate {
  const unranked = { fitRank: 0, rank: 0, load: 0, latencyMs: 0, at: notInHeap }
  const candidate = { agent, model, instance, ...unranked }
  rankAnew(candidate)
  return candidate
}

/** After a change of anything but leases. */
export function rankAnew(candidate: Candidate): void {
  const { agent, instance } = candidate
  const { fitRank, score } = capabilityOf(candidate)
  candidate.fitRank = fitRank
  candidate.rank =
    ((readiness(instance) * fitRanksMax + fitRank) * 2 + Number(agent.health.slowed)) *
      stepsMax ** 2 +
    (stepsMax - 1 - steps(score, scoreStep)) * stepsMax +
    (stepsMax - 1 - steps(agent.reliability, reliabilityStep))
  candidate.latencyMs = agent.latencyMs ?? unknownLatencyMs
  weighAnew(candidate)
}

/** After a lease was given or has ended. */
export function weighAnew(candidate: Candidate): void {
  const { agent, instance } = candidate
  candidate.load = instance === undefined ? agent.leaseCount : instance.leases.size / instance.slots
}

function capabilityOf({ agent, model, instance }: Candidate): { fitRank: number; score: number } {
  // What an owner's engine runs on is not known; no machine is better for it than another.
  if (model.external !== undefined) return { fitRank: fitRanks.gpu, score: 0 }
  if (instance?.withoutGpu ?? agent.capacity.mustNotUseGpu)
    return { fitRank: fitRanks.cpu, score: 0 }
  const { kind, device } = agent.capacity.fit(model)
  return { fitRank: fitRanks[kind], score: device?.score ?? 0 }
}

/** The processor is overflow (specification 1.1). What is held though the figures said no lies there at worst. */
const fitRanks: Readonly<Record<Fit['kind'], number>> = { gpu: 0, partial: 1, cpu: 2, none: 2 }
export const fitRanksMax = 3

/** Whole on a GPU: nothing is better. */
export const isBestFit = (candidate: Candidate): boolean => candidate.fitRank === fitRanks.gpu

/**
 * Orders candidates for one model, best first: model in memory before loading before not there; then by capability,
 * reliability, load and latency (specification 2.2). Capability is whether the model lies whole on a GPU, in part or
 * not at all, then whether heat slows it down, then the device's score. Score and reliability count in steps, for else the
 * next figure behind them would never count. Equal ones go by id, so that a decision depends on nothing but its inputs.
 */
export const compareCandidates = (a: Candidate, b: Candidate): number =>
  a.rank - b.rank ||
  a.load - b.load ||
  a.latencyMs - b.latencyMs ||
  (a.agent.id < b.agent.id ? -1 : a.agent.id > b.agent.id ? 1 : 0)

/** Whether a candidate that has something else for it may go before the best one: no worse but for a little load. */
export const isNearly = (candidate: Candidate, best: Candidate, loadMore: number): boolean =>
  candidate.rank <= best.rank && candidate.load <= best.load + loadMore

/** Twice the memory and twice the speed of a device make about ten points. */
const scoreStep = 10
/** A dozen completed requests, or half a failure, around the middle. */
const reliabilityStep = 0.2
/** More than either figure has. */
const stepsMax = 16

/** Steps from 0, so that being equal is transitive. The nudge keeps 0.6 from falling into the step below. */
const steps = (value: number, size: number): number => Math.floor(value / size + 1e-9)

/** An agent whose latency was never measured ranks behind a near one and before a slow one. */
const unknownLatencyMs = 100

const readiness = (instance: Instance | undefined): number =>
  instance === undefined ? 2 : instance.status.state === 'ready' ? 0 : 1
