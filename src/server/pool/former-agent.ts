import type { ErrorCode, Failure } from '../../protocol/errors.ts'

/** Failures of machines that may be back in a moment, better than before; other agents are tried first. */
const interruptions: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'agent_lost',
  'worker_died',
  'worker_hung',
  'overheated',
  'model_unloaded',
  'stalled',
])

/** What a job thinks of the agent that failed it: others first, or never again. */
export const opinionAfter = ({ code }: Failure): 'avoid' | 'ban' =>
  interruptions.has(code) ? 'avoid' : 'ban'
