import { expect, test } from 'bun:test'
import type { ErrorCode } from '../protocol/errors.ts'
import { causeOf, type AttemptCause, type AttemptContext } from './attempt-cause.ts'

const calm: AttemptContext = { pingLate: false, killedElsewhere: false }

test.each<[what: string, code: ErrorCode, context: Partial<AttemptContext>, cause: AttemptCause]>([
  ['an owner’s limits', 'agent_refused', {}, 'rules'],
  ['a connection that broke', 'agent_lost', {}, 'network'],
  ['silence while pongs are late', 'timeout', { pingLate: true }, 'network'],
  ['silence over a good connection', 'timeout', {}, 'node'],
  ['a server that restarts', 'server_shutting_down', {}, 'server'],
  ['a job that met a model on its way out', 'model_unloaded', {}, 'server'],
  ['a client that left', 'cancelled', {}, 'client'],
  ['a prompt that is too long', 'prompt_too_long', {}, 'request'],
  ['a worker’s death', 'worker_died', {}, 'node'],
  ['a worker that hangs', 'worker_hung', {}, 'node'],
  ['a death where another died of it before', 'worker_died', { killedElsewhere: true }, 'request'],
  ['a hang where another died of it before', 'worker_hung', { killedElsewhere: true }, 'request'],
  ['memory that is short, whatever else died', 'out_of_memory', { killedElsewhere: true }, 'node'],
  ['a damaged file', 'model_file_invalid', {}, 'model'],
  ['heat', 'overheated', {}, 'heat'],
  ['tokens that make no sense', 'agent_faulty', {}, 'node'],
])('%s: %s with %p is the doing of %s', (_, code, context, cause) => {
  expect(causeOf(code, { ...calm, ...context })).toBe(cause)
})
