import { Type, type Static } from 'typebox'
import { ModelManifestSchema, ModelSourceSchema } from '../models/manifest.ts'
import { ChatJobSchema, ContinuationSchema } from './chat-job.ts'
import { EmbedJobSchema } from './embed-job.ts'
import { WireFailureSchema } from './errors.ts'
import { InstanceIdSchema, JobIdSchema } from './ids.ts'
import { limits } from './limits.ts'

const Stream = Type.Integer({ minimum: 0, maximum: 4_294_967_295 })
const Attempt = Type.Integer({ minimum: 0, maximum: 65_535 })

/** First message of a connection. */
export const ChallengeSchema = Type.Object({
  type: Type.Literal('challenge'),
  /** Base64 of 32 random bytes; the agent signs it (README.md, "Proof of identity"). */
  nonce: Type.String({ maxLength: 64 }),
  versions: Type.Array(Type.Integer({ minimum: 1 }), { minItems: 1, maxItems: 32 }),
  features: Type.Array(Type.String({ maxLength: 64 }), { maxItems: 64 }),
})

/** The agent is known and may work. */
export const WelcomeSchema = Type.Object({
  type: Type.Literal('welcome'),
  version: Type.Integer({ minimum: 1 }),
  features: Type.Array(Type.String({ maxLength: 64 }), { maxItems: 64 }),
  heartbeatIntervalMs: Type.Integer({ minimum: 1 }),
  /** How the pool names this agent. */
  name: Type.String({ maxLength: 128 }),
  adminState: Type.Union([
    Type.Literal('pending'),
    Type.Literal('active'),
    Type.Literal('draining'),
  ]),
})

/** The server will not talk to this agent; it closes the socket after this. */
export const RefusedSchema = Type.Object({
  type: Type.Literal('refused'),
  error: WireFailureSchema,
  /** When to try again; null: not before a person has changed something. */
  retryAfterMs: Type.Union([Type.Integer({ minimum: 0 }), Type.Null()]),
})

export const HeartbeatAckSchema = Type.Object({
  type: Type.Literal('heartbeat_ack'),
  sequence: Type.Integer({ minimum: 1 }),
})

/**
 * Put a model into memory. The agent answers with `instance` messages until it is ready or failed. For an instance that is
 * there already only `pinned` and `idleUnloadMs` count, so it may always be repeated.
 */
export const LoadSchema = Type.Object({
  type: Type.Literal('load'),
  instanceId: InstanceIdSchema,
  manifest: ModelManifestSchema,
  sources: Type.Array(ModelSourceSchema, { minItems: 1, maxItems: 16 }),
  /** Tokens per slot. */
  contextTokens: Type.Integer({ minimum: 16 }),
  slots: Type.Integer({ minimum: 1, maximum: limits.slotsPerInstanceMax }),
  /** True: the machine's GPUs may not serve (an old card, a bad driver, heat); into main memory alone. */
  withoutGpu: Type.Optional(Type.Boolean()),
  /** It is not unloaded for another model, nor because nobody uses it. Absent: it may be. */
  pinned: Type.Optional(Type.Boolean()),
  /** Unused for so long it is unloaded; 0: never. Absent: the agent decides. */
  idleUnloadMs: Type.Optional(Type.Integer({ minimum: 0 })),
})
export type Load = Static<typeof LoadSchema>

/** Take a model out of memory; its running jobs fail with `cancelled`. */
export const UnloadSchema = Type.Object({
  type: Type.Literal('unload'),
  instanceId: InstanceIdSchema,
})

/** Run a job. Frames that answer it carry `stream` and `attempt`. May come while the instance still loads. */
export const AssignSchema = Type.Object({
  type: Type.Literal('assign'),
  jobId: JobIdSchema,
  stream: Stream,
  attempt: Attempt,
  instanceId: InstanceIdSchema,
  chat: ChatJobSchema,
  continuation: Type.Union([ContinuationSchema, Type.Null()]),
})
export type Assign = Static<typeof AssignSchema>

/**
 * Make vectors; they come as vector frames in the order of the inputs, then `finished`. There is no continuation: another
 * agent does the whole job again. Features `embeddings` and `rerank`, by the job's kind.
 */
export const AssignEmbedSchema = Type.Object({
  type: Type.Literal('assign_embed'),
  jobId: JobIdSchema,
  stream: Stream,
  attempt: Attempt,
  instanceId: InstanceIdSchema,
  embed: EmbedJobSchema,
})
export type AssignEmbed = Static<typeof AssignEmbedSchema>

/** Stop an attempt within one token (or one input); no answer follows. Unknown streams are ignored (they may just have ended). */
export const CancelSchema = Type.Object({
  type: Type.Literal('cancel'),
  stream: Stream,
  attempt: Attempt,
})

/** Finish what runs, take nothing new; `resume` takes it back. The heartbeat's status says `draining` meanwhile. */
export const DrainSchema = Type.Object({
  type: Type.Literal('drain'),
  resume: Type.Boolean(),
})

/** The server goes away on purpose; come back after a delay drawn between the two bounds. */
export const RestartingSchema = Type.Object({
  type: Type.Literal('restarting'),
  reconnectAfterMinMs: Type.Integer({ minimum: 0 }),
  reconnectAfterMaxMs: Type.Integer({ minimum: 0 }),
})

export const ServerErrorSchema = Type.Object({
  type: Type.Literal('error'),
  error: WireFailureSchema,
})

/** Everything the server says; it sends no binary frames in version 1. */
export const serverMessageSchemas = {
  challenge: ChallengeSchema,
  welcome: WelcomeSchema,
  refused: RefusedSchema,
  heartbeat_ack: HeartbeatAckSchema,
  load: LoadSchema,
  unload: UnloadSchema,
  assign: AssignSchema,
  assign_embed: AssignEmbedSchema,
  cancel: CancelSchema,
  drain: DrainSchema,
  restarting: RestartingSchema,
  error: ServerErrorSchema,
} as const

export type ServerMessage = {
  [Name in keyof typeof serverMessageSchemas]: Static<(typeof serverMessageSchemas)[Name]>
}[keyof typeof serverMessageSchemas]
