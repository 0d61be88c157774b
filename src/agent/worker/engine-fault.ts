import type { Failure } from '../../protocol/errors.ts'

/**
 * What the engine's library says without anything of the job in it. Source: node-llama-cpp 3.22.1, llama/addon and
 * dist/evaluator; its other messages may name a piece of the answer ("… after accepting piece: …").
 */
const plainMessages: ReadonlySet<string> = new Set([
  'Eval has failed',
  'could not find a KV slot for the batch (try reducing the size of the batch or increase the context)',
  'Failed to sample next token',
  'This model does not support token generation',
  'Failed to dispose sequence',
  'Invalid batch size',
  'Context is disposed',
  'Sampler is disposed',
  'Unknown error when calling "llama_decode"',
  'Unknown error when calling "SampleToken"',
  'no token came',
])

/** A failure of the engine in the middle of a job, told without what the client wrote or got. */
export function engineFault(error: unknown): Failure {
  const what = error instanceof Error ? error.message : ''
  // The kind of error is the code's own word.
  const kind = error instanceof Error ? error.constructor.name : typeof error
  return {
    code: 'internal',
    message: `the engine failed: ${plainMessages.has(what) ? what : `an exception (${kind}) that may hold what the client wrote`}`,
  }
}
