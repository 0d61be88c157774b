import { sql } from 'drizzle-orm'
import {
  bigint,
  boolean,
  check,
  doublePrecision,
  index,
  integer,
  pgEnum,
  pgTable,
  primaryKey,
  uuid,
} from 'drizzle-orm/pg-core'
import type { HealthRecord } from '../../capability/health-record.ts'
import type { ModelManifest, ModelSource } from '../../models/manifest.ts'
import type { ErrorCode } from '../../protocol/errors.ts'
import type { Inventory } from '../../protocol/gpu.ts'
import type { AgentId, JobId } from '../../protocol/ids.ts'
import type { ReliabilityRecord } from '../../scheduler/reliability.ts'
import type { AdminEventType } from '../notify/admin-event.ts'
import { bytes, document, instant, safeText, safeVarchar } from './columns.ts'

/** The specification's tables (section 2.1) and what the store keeps beside them. `bun run db:generate` after an edit. */

export const agentStatus = pgEnum('agent_status', ['online', 'degraded', 'offline'])
export const adminState = pgEnum('admin_state', ['pending', 'active', 'draining', 'revoked'])
export const agentEvent = pgEnum('agent_event', [
  'registered',
  'connected',
  'disconnected',
  'went_offline',
  'completed_request',
  'failed_request',
  'worker_died',
  'admin_state_changed',
  'thermal_event',
  'became_unhealthy',
  'became_healthy',
  'reliability_changed',
  'fault_taken_back',
])
export const keyScope = pgEnum('key_scope', ['infer', 'infer:priority', 'models:read', 'admin'])
export const requestOutcome = pgEnum('request_outcome', ['completed', 'failed', 'cancelled'])

export const agents = pgTable(
  'agents',
  {
    agentId: uuid('agent_id').$type<AgentId>().primaryKey(),
    publicKey: bytes('public_key').notNull(),
    capabilities: document<Inventory>('capabilities').notNull(),
    status: agentStatus('status').notNull().default('offline'),
    lastHeartbeat: instant('last_heartbeat'),
    reliability: doublePrecision('reliability').notNull(),
    /** What the figure beside it is made of. */
    reliabilityRecord: document<ReliabilityRecord>('reliability_record'),
    region: safeVarchar('region', { charactersMax: 64 }),
    name: safeVarchar('name', { charactersMax: 128 }).notNull(),
    apiKeyHash: bytes('api_key_hash').notNull(),
    adminState: adminState('admin_state').notNull(),
    enrolledAt: instant('enrolled_at').notNull(),
    /** What counts for a day and must outlive a restart: thermal events, failed inferences. Goes with the agent. */
    health: document<HealthRecord>('health'),
  },
  table => [
    check('agents_public_key_is_ed25519', sql`octet_length(${table.publicKey}) = 32`),
    check('agents_api_key_hash_is_sha256', sql`octet_length(${table.apiKeyHash}) = 32`),
    check('agents_reliability_is_a_share', sql`${table.reliability} between 0 and 1`),
  ],
)

export const agentHistory = pgTable(
  'agent_history',
  {
    /** Keeps the order of events of the same millisecond. */
    eventId: bigint('event_id', { mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
    /** An agent that is deleted takes its history with it; revoking deletes nothing. */
    agentId: uuid('agent_id')
      .$type<AgentId>()
      .notNull()
      .references(() => agents.agentId, { onDelete: 'cascade' }),
    eventType: agentEvent('event_type').notNull(),
    timestamp: instant('timestamp').notNull(),
    metadata: document<Readonly<Record<string, unknown>>>('metadata').notNull(),
  },
  table => [
    // Ascending, read backwards: drizzle writes `desc nulls last`, which no `order by … desc` can use.
    index('agent_history_by_time').on(table.agentId, table.timestamp, table.eventId),
    index('agent_history_by_age').on(table.timestamp),
  ],
)

export const eventSeverity = pgEnum('event_severity', ['info', 'warning', 'critical'])

/** What the operator was told of, newest kept; see `notify/admin-event.ts`. */
export const events = pgTable(
  'events',
  {
    eventId: bigint('event_id', { mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
    /** No enum: there will be others. */
    eventType: safeVarchar('event_type', { charactersMax: 64 }).$type<AdminEventType>().notNull(),
    severity: eventSeverity('severity').notNull(),
    timestamp: instant('timestamp').notNull(),
    /** The event stays when its agent is deleted. */
    agentId: uuid('agent_id')
      .$type<AgentId>()
      .references(() => agents.agentId, { onDelete: 'set null' }),
    agentName: safeText('agent_name'),
    model: safeText('model'),
    text: safeText('text').notNull(),
    times: integer('times').notNull(),
  },
  table => [
    index('events_by_age').on(table.timestamp, table.eventId),
    index('events_by_agent').on(table.agentId, table.timestamp, table.eventId),
  ],
)

export const joinTokens = pgTable(
  'join_tokens',
  {
    id: safeText('id').primaryKey(),
    secretHash: bytes('secret_hash').notNull(),
    usesLeft: integer('uses_left').notNull(),
    autoApprove: boolean('auto_approve').notNull(),
    createdAt: instant('created_at').notNull(),
    expiresAt: instant('expires_at').notNull(),
  },
  table => [check('join_tokens_uses_left_is_a_count', sql`${table.usesLeft} >= 0`)],
)

export const apiKeys = pgTable('api_keys', {
  id: safeText('id').primaryKey(),
  name: safeText('name').notNull(),
  secretHash: bytes('secret_hash').notNull(),
  scopes: keyScope('scopes').array().notNull(),
  createdAt: instant('created_at').notNull(),
  revokedAt: instant('revoked_at'),
})

export const models = pgTable(
  'models',
  {
    name: safeVarchar('name', { charactersMax: 128 }).primaryKey(),
    /** Whole, so that a new fact about a model (its shape, for example) needs no migration; old rows lack it. */
    manifest: document<ModelManifest>('manifest').notNull(),
    source: document<ModelSource>('source').notNull(),
    contextTokens: integer('context_tokens').notNull(),
    slots: integer('slots').notNull(),
    /** Stays in memory wherever it is loaded. */
    pinned: boolean('pinned').notNull().default(false),
    /** Unused for so long it goes; 0: never; null: the agent decides. */
    idleUnloadMs: bigint('idle_unload_ms', { mode: 'number' }),
    addedAt: instant('added_at').notNull(),
  },
  table => [
    check('models_idle_unload_ms_is_a_duration', sql`${table.idleUnloadMs} >= 0`),
    check('models_manifest_has_the_name', sql`${table.manifest} ->> 'name' = ${table.name}`),
    check('models_context_tokens_is_positive', sql`${table.contextTokens} > 0`),
    check('models_slots_is_positive', sql`${table.slots} > 0`),
  ],
)

/**
 * What an operator has ordered of an agent and the agent has not done yet, or is to do again when it comes back without. At
 * most one row for an agent and a model; the server deletes what is done or whose model has left the catalogue.
 */
export const modelOrders = pgTable(
  'model_orders',
  {
    agentId: uuid('agent_id')
      .$type<AgentId>()
      .notNull()
      .references(() => agents.agentId, { onDelete: 'cascade' }),
    model: safeVarchar('model', { charactersMax: 128 }).notNull(),
    /** Whether it is to be in memory there, or not. */
    loaded: boolean('loaded').notNull(),
  },
  table => [primaryKey({ columns: [table.agentId, table.model] })],
)

/**
 * The ledger: one row per settled request. Key and model are kept by name without a foreign key, since a ledger
 * outlives both (a model is removed, the operator's key from the environment has no row in `api_keys`).
 */
export const requests = pgTable(
  'requests',
  {
    jobId: uuid('job_id').$type<JobId>().primaryKey(),
    keyId: safeText('key_id').notNull(),
    model: safeText('model').notNull(),
    /** The request stays when its agent is deleted. */
    agentId: uuid('agent_id')
      .$type<AgentId>()
      .references(() => agents.agentId, { onDelete: 'set null' }),
    outcome: requestOutcome('outcome').notNull(),
    finishReason: safeText('finish_reason'),
    errorCode: safeText('error_code').$type<ErrorCode>(),
    promptTokens: integer('prompt_tokens').notNull(),
    completionTokens: integer('completion_tokens').notNull(),
    attempts: integer('attempts').notNull(),
    receivedAt: instant('received_at').notNull(),
    firstTokenAt: instant('first_token_at'),
    endedAt: instant('ended_at').notNull(),
  },
  table => [
    check('requests_prompt_tokens_is_a_count', sql`${table.promptTokens} >= 0`),
    check('requests_completion_tokens_is_a_count', sql`${table.completionTokens} >= 0`),
    check('requests_attempts_is_a_count', sql`${table.attempts} >= 0`),
    index('requests_by_age').on(table.endedAt),
  ],
)

/** Sums over `requests`, kept beside it so that asking for usage never scans the ledger. */
export const usage = pgTable(
  'usage',
  {
    keyId: safeText('key_id').notNull(),
    model: safeText('model').notNull(),
    requests: bigint('requests', { mode: 'number' }).notNull(),
    promptTokens: bigint('prompt_tokens', { mode: 'number' }).notNull(),
    completionTokens: bigint('completion_tokens', { mode: 'number' }).notNull(),
  },
  table => [
    primaryKey({ columns: [table.keyId, table.model] }),
    check('usage_requests_is_a_count', sql`${table.requests} >= 0`),
    check('usage_prompt_tokens_is_a_count', sql`${table.promptTokens} >= 0`),
    check('usage_completion_tokens_is_a_count', sql`${table.completionTokens} >= 0`),
  ],
)
