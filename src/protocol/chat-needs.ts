import type { ChatJob, Sampling } from './chat-job.ts'
import type { ProtocolFeature } from './version.ts'

/** What every agent has known since the first version; each field beside them needs the feature. */
const baseSampling: ReadonlySet<string> = new Set<keyof Sampling>(['temperature', 'topP', 'seed'])

/** What an agent must have listed to run this job; one that has not would ignore what it does not know. */
export const chatNeeds = ({ sampling }: ChatJob): readonly ProtocolFeature[] =>
  Object.keys(sampling).every(field => baseSampling.has(field)) ? [] : ['sampling']
