import type { Agent, Instance } from './fleet.ts'

/** An agent that could run the job, with the instance it would run on (undefined: it would have to load first). */
export type Candidate = {
  readonly agent: Agent
  readonly instance: Instance | undefined
  /** It interrupted this job before. */
  readonly avoided: boolean
}

/**
 * Orders candidates, best first: one that has not interrupted the job before; then model in memory before loading before not there; then least loaded, more reliable,
 * nearer; equal ones by id, so that a decision depends on nothing but its inputs.
 */
export function compareCandidates(a: Candidate, b: Candidate): number {
  return (
    Number(a.avoided) - Number(b.avoided) ||
    readiness(a.instance) - readiness(b.instance) ||
    load(a) - load(b) ||
    b.agent.reliability - a.agent.reliability ||
    (a.agent.latencyMs ?? unknownLatencyMs) - (b.agent.latencyMs ?? unknownLatencyMs) ||
    (a.agent.id < b.agent.id ? -1 : 1)
  )
}

/** An agent whose latency was never measured ranks behind a near one and before a slow one. */
const unknownLatencyMs = 100

const readiness = (instance: Instance | undefined): number =>
  instance === undefined ? 2 : instance.status.state === 'ready' ? 0 : 1

const load = ({ agent, instance }: Candidate): number =>
  instance === undefined ? agent.leaseCount : instance.leases.size / instance.slots
