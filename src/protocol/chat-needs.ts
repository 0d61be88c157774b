import type { ChatJob, Sampling } from './chat-job.ts'
import type { ProtocolFeature } from './version.ts'

/** What every agent has known since the first version; each field beside them needs the feature. */
const baseSampling: ReadonlySet<string> = new Set<keyof Sampling>(['temperature', 'topP', 'seed'])

/** What an agent must have listed to run this job; one that has not would ignore what it does not know. */
export function chatNeeds({
  sampling,
  constraint,
  parallelToolCalls,
  topLogprobs,
}: ChatJob): readonly ProtocolFeature[] {
  const needs: ProtocolFeature[] = []
  if (Object.keys(sampling).some(field => !baseSampling.has(field))) needs.push('sampling')
  if (constraint !== undefined || parallelToolCalls !== undefined) needs.push('grammar')
  if (topLogprobs !== undefined) needs.push('logprobs')
  return needs
}
