import type { Fit } from './capacity.ts'
import type { ModelFacts } from './event.ts'
import type { Agent, Instance } from './fleet.ts'

/** An agent that could run the job, with the instance it would run on (undefined: it would have to load first). */
export type Candidate = {
  readonly agent: Agent
  readonly instance: Instance | undefined
  /** It interrupted this job before. */
  readonly avoided: boolean
  /** How it holds, or would hold, the model; see `fitRank`. */
  readonly fitRank: number
  /** Of the score of the device that the model lies on, and of the agent's reliability: in steps, see below. */
  readonly scoreSteps: number
  readonly reliabilitySteps: number
}

export function candidateOf(
  agent: Agent,
  model: ModelFacts,
  instance: Instance | undefined,
  avoided: boolean,
): Candidate {
  const reliabilitySteps = steps(agent.reliability, reliabilityStep)
  // What an owner's engine runs on is not known; no machine is better for it than another.
  if (model.external !== undefined)
    return { agent, instance, avoided, fitRank: fitRanks.gpu, scoreSteps: 0, reliabilitySteps }
  const fit = agent.capacity.fit(model)
  const withoutGpu = instance?.withoutGpu ?? agent.capacity.mustNotUseGpu
  return {
    agent,
    instance,
    avoided,
    fitRank: withoutGpu ? fitRanks.cpu : fitRanks[fit.kind],
    scoreSteps: withoutGpu ? 0 : steps(fit.device?.score ?? 0, scoreStep),
    reliabilitySteps,
  }
}

/** The processor is overflow (specification 1.1). What is held though the figures said no lies there at worst. */
const fitRanks: Readonly<Record<Fit['kind'], number>> = { gpu: 0, partial: 1, cpu: 2, none: 2 }

/** Whole on a GPU: nothing is better. */
export const isBestFit = (candidate: Candidate): boolean => candidate.fitRank === fitRanks.gpu

/**
 * Orders candidates, best first: one that has not interrupted the job before; then model in memory before loading
 * before not there; then by capability, reliability, load and latency (specification 2.2). Capability is whether the
 * model lies whole on a GPU, in part or not at all, then whether heat slows it down, then the device's score. Score and
 * reliability count in steps, for else the next figure behind them would never count. Equal ones go by id, so that a
 * decision depends on nothing but its inputs.
 */
export function compareCandidates(a: Candidate, b: Candidate): number {
  return (
    Number(a.avoided) - Number(b.avoided) ||
    readiness(a.instance) - readiness(b.instance) ||
    a.fitRank - b.fitRank ||
    Number(a.agent.health.slowed) - Number(b.agent.health.slowed) ||
    b.scoreSteps - a.scoreSteps ||
    b.reliabilitySteps - a.reliabilitySteps ||
    load(a) - load(b) ||
    (a.agent.latencyMs ?? unknownLatencyMs) - (b.agent.latencyMs ?? unknownLatencyMs) ||
    (a.agent.id < b.agent.id ? -1 : 1)
  )
}

/** Twice the memory and twice the speed of a device make about ten points. */
const scoreStep = 10
/** A dozen completed requests, or half a failure, around the middle. */
const reliabilityStep = 0.2

/** Steps from 0, so that being equal is transitive. The nudge keeps 0.6 from falling into the step below. */
const steps = (value: number, size: number): number => Math.floor(value / size + 1e-9)

/** An agent whose latency was never measured ranks behind a near one and before a slow one. */
const unknownLatencyMs = 100

const readiness = (instance: Instance | undefined): number =>
  instance === undefined ? 2 : instance.status.state === 'ready' ? 0 : 1

const load = ({ agent, instance }: Candidate): number =>
  instance === undefined ? agent.leaseCount : instance.leases.size / instance.slots
