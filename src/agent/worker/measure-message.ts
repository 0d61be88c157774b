import { Type, type Static } from 'typebox'
import { Compile } from 'typebox/compile'
import { knownFailure, WireFailureSchema, type Failure } from '../../protocol/errors.ts'
import { limits } from '../../protocol/limits.ts'
import { frameKindJson, type Frame } from './frames.ts'

const threadsMax = 8192

/** Asks a worker to measure the device with a model, instead of serving one. It comes alone. */
export const MeasureRequestSchema = Type.Object({
  type: Type.Literal('measure'),
  modelPath: Type.String(),
  /** Everything on the GPU; else nothing, and the processor is measured. */
  gpu: Type.Boolean(),
  threadsMax: Type.Integer({ minimum: 1, maximum: threadsMax }),
  /** `search` finds the best number of threads, `all` measures every one. */
  plan: Type.Union([Type.Literal('search'), Type.Literal('all')]),
  /** Nothing new is begun after it; what runs is finished. */
  budgetMs: Type.Number({ minimum: 0 }),
})
export type MeasureRequest = Static<typeof MeasureRequestSchema>

const Speed = Type.Number({ exclusiveMinimum: 0 })
const Bytes = Type.Number({ minimum: 0 })

const MeasuredSchema = Type.Object({
  type: Type.Literal('measured'),
  backend: Type.String({ maxLength: 32 }),
  /** Devices that the engine sees, as their drivers call them. */
  deviceNames: Type.Array(Type.String({ maxLength: 256 }), { maxItems: limits.gpusPerAgentMax }),
  /** Before anything was loaded; null without a GPU. */
  vram: Type.Union([Type.Object({ totalBytes: Bytes, freeBytes: Bytes }), Type.Null()]),
  /** The best number of threads, of those measured. */
  threads: Type.Integer({ minimum: 1, maximum: threadsMax }),
  points: Type.Array(
    Type.Object({
      threads: Type.Integer({ minimum: 1, maximum: threadsMax }),
      decodeTokensPerS: Speed,
      prefillTokensPerS: Type.Union([Speed, Type.Null()]),
    }),
    { minItems: 1, maxItems: 2 * threadsMax },
  ),
})
/** What came out, in the order in which it was measured. */
export type Measured = Static<typeof MeasuredSchema>

const MeasureReportSchema = Type.Union([
  MeasuredSchema,
  Type.Object({ type: Type.Literal('measure_failed'), error: WireFailureSchema }),
])
export type MeasureReport = Measured | { readonly type: 'measure_failed'; readonly error: Failure }

const check = Compile(MeasureReportSchema)
const decoder = new TextDecoder('utf-8', { fatal: true })

/** @returns the report, or a text that says what is wrong with the frame */
export function decodeMeasureReport({ kind, payload }: Frame): MeasureReport | string {
  const value = kind === frameKindJson ? parse(payload) : undefined
  if (!check.Check(value)) return 'the worker sent a message of no known shape'
  return value.type === 'measured' ? value : { ...value, error: knownFailure(value.error) }
}

function parse(payload: Uint8Array): unknown {
  try {
    return JSON.parse(decoder.decode(payload))
  } catch {
    return undefined
  }
}
