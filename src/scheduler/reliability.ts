import type { ErrorCode } from '../protocol/errors.ts'

/**
 * Reliability is earned (specification, decision 3): a new agent starts low, every completed request closes a twentieth
 * of the gap to 1, every failure that was the machine's own costs a fifth of what was earned. From 0.3, twenty
 * completed requests reach 0.75; one failure then leads back to 0.6.
 */
export const reliabilityAtStart = 0.3
const gainRatio = 0.05
const lossRatio = 0.2

/** Failures that say something about the machine; a lost network, an owner's refusal, a hot day or a bad request do not. */
const ownFault: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'agent_faulty',
  'worker_died',
  'out_of_memory',
  'model_load_failed',
  'timeout',
  'internal',
])

/** Whether a failure was the machine's own doing. */
export const isOwnFault = (code: ErrorCode): boolean => ownFault.has(code)

/** @returns the reliability, 0 to 1, after a request ended on the agent; `error` null: it was completed */
export function reliabilityAfter(reliability: number, error: ErrorCode | null): number {
  if (error === null) return reliability + (1 - reliability) * gainRatio
  return isOwnFault(error) ? reliability * (1 - lossRatio) : reliability
}
