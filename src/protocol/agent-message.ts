import { Type, type Static } from 'typebox'
import { ExternalModelSchema } from '../models/external-model.ts'
import { FinishReasonSchema } from './chat-job.ts'
import { WireFailureSchema } from './errors.ts'
import { GpuReadingSchema, InventorySchema } from './gpu.ts'
import { AgentIdSchema, InstanceIdSchema } from './ids.ts'
import { AgentMetricsSchema } from './agent-metrics.ts'
import { limits } from './limits.ts'

const Stream = Type.Integer({ minimum: 0, maximum: 4_294_967_295 })
const Attempt = Type.Integer({ minimum: 0, maximum: 65_535 })
/** Tokens; the upper bound is that of the ledger's columns. */
const Count = Type.Integer({ minimum: 0, maximum: 2_147_483_647 })

/** What one placement of a model is doing on the agent, as the agent last knew it. */
export const InstanceStateSchema = Type.Union([
  Type.Object({
    state: Type.Literal('loading'),
    /** 0 to 1, download included; null when it cannot be told. */
    progress: Type.Union([Type.Number({ minimum: 0, maximum: 1 }), Type.Null()]),
  }),
  Type.Object({
    state: Type.Literal('ready'),
    /** Tokens one slot holds, prompt and answer together. */
    contextTokens: Type.Integer({ minimum: 1 }),
    slots: Type.Integer({ minimum: 1, maximum: limits.slotsPerInstanceMax }),
    loadMs: Type.Number({ minimum: 0 }),
  }),
  Type.Object({ state: Type.Literal('failed'), error: WireFailureSchema }),
  Type.Object({ state: Type.Literal('unloaded') }),
])
export type InstanceState = Static<typeof InstanceStateSchema>

const InstanceReport = Type.Object({
  instanceId: InstanceIdSchema,
  modelSha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
  status: InstanceStateSchema,
})

/** What the engines that the owner runs beside the agent serve now; none while they do not answer. */
const ExternalModels = Type.Array(ExternalModelSchema, {
  maxItems: limits.externalModelsPerAgentMax,
})

/** First message of the agent, in answer to `challenge`. See README.md, "Proof of identity", for the signed text. */
export const HelloSchema = Type.Object({
  type: Type.Literal('hello'),
  agentId: AgentIdSchema,
  apiKey: Type.String({ maxLength: 256 }),
  /** Every version the agent speaks; the signature is over the newest that both sides list. */
  versions: Type.Array(Type.Integer({ minimum: 1 }), { minItems: 1, maxItems: 32 }),
  features: Type.Array(Type.String({ maxLength: 64 }), { maxItems: 64 }),
  software: Type.Object({
    name: Type.String({ maxLength: 64 }),
    version: Type.String({ maxLength: 64 }),
  }),
  /** Base64 Ed25519 signature. */
  signature: Type.String({ maxLength: 128 }),
  inventory: InventorySchema,
  region: Type.Union([Type.String({ maxLength: 64 }), Type.Null()]),
  /** Instances the agent still holds from before a reconnect. */
  instances: Type.Array(InstanceReport, { maxItems: limits.instancesPerAgentMax }),
  /** Jobs the agent is still running from before a reconnect; the server cancels what it no longer wants. */
  streams: Type.Array(Type.Object({ stream: Stream, attempt: Attempt }), { maxItems: 4096 }),
  /** Absent: the owner runs no engine beside the agent. */
  externalModels: Type.Optional(ExternalModels),
})
export type Hello = Static<typeof HelloSchema>

/** Specification 1.5, field names as there, plus `gpus` for machines with several devices and `reason`. */
export const HeartbeatSchema = Type.Object({
  type: Type.Literal('heartbeat'),
  /** Counts up from 1 in each connection; `heartbeat_ack` repeats it. */
  sequence: Type.Integer({ minimum: 1 }),
  agent_id: AgentIdSchema,
  status: Type.Union([
    Type.Literal('available'),
    Type.Literal('busy'),
    Type.Literal('degraded'),
    Type.Literal('draining'),
  ]),
  /** Why the status is degraded, for example `thermal`. */
  reason: Type.Optional(Type.String({ maxLength: 200 })),
  /** Busy slots divided by slots; 0 when nothing is loaded. */
  current_load: Type.Number({ minimum: 0, maximum: 1 }),
  /** The first device's readings; null on a machine without a GPU. */
  gpu_state: Type.Union([
    Type.Object({
      temperature_c: Type.Union([Type.Number(), Type.Null()]),
      vram_used_mb: Type.Union([Type.Number(), Type.Null()]),
      vram_total_mb: Type.Union([Type.Number(), Type.Null()]),
      utilization_pct: Type.Union([Type.Number(), Type.Null()]),
    }),
    Type.Null(),
  ]),
  gpus: Type.Array(GpuReadingSchema, { maxItems: limits.gpusPerAgentMax }),
  /** Round trip of the heartbeat before; null in a connection's first one. */
  network_latency_ms: Type.Union([Type.Number({ minimum: 0 }), Type.Null()]),
  /** Names of the models that are ready. */
  models_loaded: Type.Array(Type.String({ maxLength: 128 }), {
    maxItems: limits.instancesPerAgentMax,
  }),
  /** Absent: an agent of an earlier build. */
  metrics: Type.Optional(AgentMetricsSchema),
})
export type Heartbeat = Static<typeof HeartbeatSchema>

/** The machine is not what hello said any more; the whole inventory, the newest wins. Feature `inventory`. */
export const InventoryMessageSchema = Type.Object({
  type: Type.Literal('inventory'),
  inventory: InventorySchema,
})

/** What the owner's engines serve has changed; the whole list, the newest wins. Feature `external`. */
export const ExternalModelsSchema = Type.Object({
  type: Type.Literal('external_models'),
  models: ExternalModels,
})

/** An instance changed; sent on every change, the newest wins. */
export const InstanceSchema = Type.Object({
  type: Type.Literal('instance'),
  ...InstanceReport.properties,
})

/**
 * The prompt is rendered and tokenised; prefill begins. Comes before the attempt's first token frame. An engine that does
 * not tell (feature `external`) has null for both figures; it comes again once the number of tokens is known.
 */
export const StartedSchema = Type.Object({
  type: Type.Literal('started'),
  stream: Stream,
  attempt: Attempt,
  promptTokens: Type.Union([Count, Type.Null()]),
  /** SHA-256 over the prompt's token ids, each as 4 bytes little-endian. */
  promptSha256: Type.Union([Type.String({ pattern: '^[0-9a-f]{64}$' }), Type.Null()]),
  /** Tokens of the prompt that were still there from an earlier job and are not computed again. */
  cachedTokens: Type.Optional(Count),
})

/** The attempt is complete: every token frame of it was sent before. */
export const FinishedSchema = Type.Object({
  type: Type.Literal('finished'),
  stream: Stream,
  attempt: Attempt,
  reason: FinishReasonSchema,
  /** Tokens of the whole answer, those of the continuation included; the server compares it with its own count. */
  tokens: Count,
})

/** The attempt ended without an answer, or in the middle of one. */
export const FailedSchema = Type.Object({
  type: Type.Literal('failed'),
  stream: Stream,
  attempt: Attempt,
  error: WireFailureSchema,
})

/** Something is wrong that belongs to no job: the text says what; the sender may close after it. */
export const AgentErrorSchema = Type.Object({
  type: Type.Literal('error'),
  error: WireFailureSchema,
})

/** Everything an agent says in JSON; tokens travel as binary frames (token-frame.ts). */
export const agentMessageSchemas = {
  hello: HelloSchema,
  heartbeat: HeartbeatSchema,
  inventory: InventoryMessageSchema,
  external_models: ExternalModelsSchema,
  instance: InstanceSchema,
  started: StartedSchema,
  finished: FinishedSchema,
  failed: FailedSchema,
  error: AgentErrorSchema,
} as const

export type AgentMessage = {
  [Name in keyof typeof agentMessageSchemas]: Static<(typeof agentMessageSchemas)[Name]>
}[keyof typeof agentMessageSchemas]
