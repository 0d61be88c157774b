import { Type, type Static } from 'typebox'
import { Compile } from 'typebox/compile'
import { FailedSchema, FinishedSchema, StartedSchema } from '../../protocol/agent-message.ts'
import { ChatJobSchema, ContinuationSchema } from '../../protocol/chat-job.ts'
import { EmbedJobSchema } from '../../protocol/embed-job.ts'
import { knownFailure, WireFailureSchema } from '../../protocol/errors.ts'
import type { EngineEvent } from '../engine/engine.ts'
import { BatchStatisticsSchema, type BatchStatistics } from './batch-statistics.ts'
import { MeasureRequestSchema } from './measure-message.ts'

const Stream = Type.Integer({ minimum: 0, maximum: 4_294_967_295 })
const Attempt = Type.Integer({ minimum: 0, maximum: 65_535 })

/**
 * What the agent tells its worker. `load` comes first and once; jobs may come before it is done. `measure` comes alone.
 */
export const WorkerRequestSchema = Type.Union([
  Type.Object({
    type: Type.Literal('load'),
    modelPath: Type.String(),
    contextTokens: Type.Integer({ minimum: 16 }),
    slots: Type.Integer({ minimum: 1 }),
    threads: Type.Integer({ minimum: 1 }),
    gpuLayers: Type.Union([Type.Integer({ minimum: 0 }), Type.Literal('auto'), Type.Null()]),
  }),
  Type.Object({
    type: Type.Literal('run'),
    stream: Stream,
    attempt: Attempt,
    chat: ChatJobSchema,
    continuation: Type.Union([ContinuationSchema, Type.Null()]),
  }),
  Type.Object({
    type: Type.Literal('embed'),
    stream: Stream,
    attempt: Attempt,
    embed: EmbedJobSchema,
  }),
  Type.Object({ type: Type.Literal('cancel'), stream: Stream, attempt: Attempt }),
  Type.Object({ type: Type.Literal('ask_statistics') }),
  MeasureRequestSchema,
])
export type WorkerRequest = Static<typeof WorkerRequestSchema>

/** What the worker says in JSON: the events of `EngineEvent`, except those the agent itself makes, and statistics. */
const WorkerReportSchema = Type.Union([
  Type.Object({
    type: Type.Literal('loading'),
    progress: Type.Union([Type.Number({ minimum: 0, maximum: 1 }), Type.Null()]),
  }),
  Type.Object({
    type: Type.Literal('ready'),
    contextTokens: Type.Integer({ minimum: 1 }),
    slots: Type.Integer({ minimum: 1 }),
    loadMs: Type.Number({ minimum: 0 }),
  }),
  Type.Object({ type: Type.Literal('load_failed'), error: WireFailureSchema }),
  Type.Object({ type: Type.Literal('statistics'), statistics: BatchStatisticsSchema }),
  StartedSchema,
  FinishedSchema,
  FailedSchema,
])
export type WorkerReport =
  | Exclude<EngineEvent, { type: 'token_frame' | 'died' }>
  | { readonly type: 'statistics'; readonly statistics: BatchStatistics }

const requestCheck = Compile(WorkerRequestSchema)
const reportCheck = Compile(WorkerReportSchema)
const decoder = new TextDecoder('utf-8', { fatal: true })

/** @returns the request, or a text that says what is wrong with the bytes */
export function decodeWorkerRequest(payload: Uint8Array): WorkerRequest | string {
  const value = parseJson(payload)
  return requestCheck.Check(value) ? value : 'this is not a request to a worker'
}

/** Reads without trust: a worker that a model file took over must not be able to confuse the agent. */
export function decodeWorkerReport(payload: Uint8Array): WorkerReport | string {
  const value = parseJson(payload)
  if (!reportCheck.Check(value)) return 'the worker sent a message of no known shape'
  return 'error' in value ? { ...value, error: knownFailure(value.error) } : value
}

function parseJson(payload: Uint8Array): unknown {
  try {
    return JSON.parse(decoder.decode(payload))
  } catch {
    return undefined
  }
}
