import type { HealthRecord } from '../../capability/health-record.ts'
import type { Instant } from '../../clock.ts'
import type { ModelManifest, ModelSource } from '../../models/manifest.ts'
import type { ErrorCode } from '../../protocol/errors.ts'
import type { Inventory } from '../../protocol/gpu.ts'
import type { AgentId, JobId } from '../../protocol/ids.ts'
import type { ReliabilityRecord } from '../../scheduler/reliability.ts'
import type { AdminEvent } from '../notify/admin-event.ts'

/** What the specification's `status` column shows; liveness in memory is finer and decides. */
export type AgentStatus = 'online' | 'degraded' | 'offline'
/** What the operator decided. A pending agent may connect but gets no work; a revoked one may not connect. */
export type AdminState = 'pending' | 'active' | 'draining' | 'revoked'
/** `infer:priority`: may ask to go before others in line. */
export type Scope = 'infer' | 'infer:priority' | 'models:read' | 'admin'

export type AgentRecord = {
  readonly id: AgentId
  readonly name: string
  /** Raw Ed25519 public key, 32 bytes. */
  readonly publicKey: Uint8Array
  /** SHA-256 of the agent's API key. */
  readonly apiKeyHash: Uint8Array
  readonly capabilities: Inventory
  readonly status: AgentStatus
  readonly adminState: AdminState
  readonly lastHeartbeatAt: Instant | null
  /** 0 to 1, earned (specification, decision 3). */
  readonly reliability: number
  /** What it is made of; null: nothing has happened yet. */
  readonly reliabilityRecord: ReliabilityRecord | null
  readonly region: string | null
  readonly enrolledAt: Instant
  /** Null: nothing was ever noted against its hardware. */
  readonly health: HealthRecord | null
}

export type HistoryEvent = {
  readonly agentId: AgentId
  readonly type:
    | 'registered'
    | 'connected'
    | 'disconnected'
    | 'went_offline'
    | 'completed_request'
    | 'failed_request'
    | 'worker_died'
    | 'admin_state_changed'
    | 'thermal_event'
    | 'became_unhealthy'
    | 'became_healthy'
    | 'reliability_changed'
    | 'fault_taken_back'
  readonly at: Instant
  readonly metadata: Readonly<Record<string, unknown>>
}

export type JoinTokenRecord = {
  /** Public part of the token, its primary key. */
  readonly id: string
  readonly secretHash: Uint8Array
  readonly usesLeft: number
  readonly autoApprove: boolean
  readonly createdAt: Instant
  readonly expiresAt: Instant
}

export type KeyRecord = {
  /** Public part of the key, its primary key. */
  readonly id: string
  readonly name: string
  readonly secretHash: Uint8Array
  readonly scopes: readonly Scope[]
  readonly createdAt: Instant
  readonly revokedAt: Instant | null
}

export type ModelRecord = {
  readonly manifest: ModelManifest
  readonly source: ModelSource
  /** Tokens one slot gets. */
  readonly contextTokens: number
  /** Requests one agent serves at the same time. */
  readonly slots: number
  /** It stays in memory wherever it is loaded. */
  readonly pinned: boolean
  /** Unused for so long it goes; 0: never; null: the agent decides. */
  readonly idleUnloadMs: number | null
  readonly addedAt: Instant
}

/** How long a model stays in memory. */
export type ModelStay = Pick<ModelRecord, 'pinned' | 'idleUnloadMs'>

/** What an operator wants of a model on an agent. */
export type ModelOrderRecord = {
  readonly agentId: AgentId
  readonly model: string
  /** Whether it is to be in memory there, or not. */
  readonly loaded: boolean
}

/** A request after its end. `promptTokens` and `completionTokens` are the server's own counts. */
export type RequestRecord = {
  readonly jobId: JobId
  readonly keyId: string
  readonly model: string
  readonly agentId: AgentId | null
  readonly outcome: 'completed' | 'failed' | 'cancelled'
  readonly finishReason: string | null
  readonly errorCode: ErrorCode | null
  readonly promptTokens: number
  readonly completionTokens: number
  readonly attempts: number
  readonly receivedAt: Instant
  readonly firstTokenAt: Instant | null
  readonly endedAt: Instant
}

export type UsageRow = {
  readonly keyId: string
  readonly keyName: string
  readonly model: string
  readonly requests: number
  readonly promptTokens: number
  readonly completionTokens: number
}

export type EnrolOutcome = AgentRecord | 'token_unknown' | 'token_expired' | 'token_used_up'

/**
 * What must survive the process. Two implementations of the same schema: PGlite in the data directory and PostgreSQL.
 * Methods reject only on bugs and on a database that is gone; expected outcomes are return values. Nothing here is
 * called per token, and per heartbeat only in batches.
 */
export type Store = {
  /** Uses the token up and creates the agent in one transaction; of two parallel uses of the last one, one wins. */
  enrolAgent(input: {
    tokenId: string
    tokenSecretHash: Uint8Array
    agent: Pick<
      AgentRecord,
      'id' | 'name' | 'publicKey' | 'apiKeyHash' | 'capabilities' | 'region' | 'reliability'
    >
    now: Instant
  }): Promise<EnrolOutcome>
  getAgent(id: AgentId): Promise<AgentRecord | undefined>
  listAgents(): Promise<readonly AgentRecord[]>
  /** What a hello brings up to date. */
  updateAgentCapabilities(
    id: AgentId,
    capabilities: Inventory,
    region: string | null,
  ): Promise<void>
  setAgentStatus(id: AgentId, status: AgentStatus): Promise<void>
  /** @returns false when there is no such agent */
  setAgentAdminState(id: AgentId, state: AdminState): Promise<boolean>
  setAgentReliability(id: AgentId, reliability: number, record: ReliabilityRecord): Promise<void>
  setAgentHealth(id: AgentId, health: HealthRecord): Promise<void>
  recordHeartbeats(beats: readonly { id: AgentId; at: Instant }[]): Promise<void>
  appendHistory(events: readonly HistoryEvent[]): Promise<void>
  /** Newest first. */
  listHistory(id: AgentId, limitRows: number): Promise<readonly HistoryEvent[]>

  appendEvents(events: readonly AdminEvent[]): Promise<void>
  /** Newest first; `agentId` null: of all. */
  listEvents(which: {
    readonly agentId: AgentId | null
    readonly limitRows: number
  }): Promise<readonly AdminEvent[]>

  createJoinToken(token: JoinTokenRecord): Promise<void>

  createKey(key: KeyRecord): Promise<void>
  getKey(id: string): Promise<KeyRecord | undefined>
  listKeys(): Promise<readonly KeyRecord[]>
  /** @returns false when there is no such key or it was revoked before */
  revokeKey(id: string, now: Instant): Promise<boolean>

  /** @returns false when the name is taken */
  addModel(model: ModelRecord): Promise<boolean>
  getModel(name: string): Promise<ModelRecord | undefined>
  listModels(): Promise<readonly ModelRecord[]>
  /** @returns false when there is no such model */
  removeModel(name: string): Promise<boolean>
  /** Changes what is named, and nothing else. @returns false when there is no such model */
  setModelStay(name: string, stay: Partial<ModelStay>): Promise<boolean>
  /** Orders that agents are still to follow. */
  listModelOrders(): Promise<readonly ModelOrderRecord[]>
  /** `loaded` null: there is no order any more. */
  setModelOrder(agentId: AgentId, model: string, loaded: boolean | null): Promise<void>

  /** Writes the request and adds to usage, once per job id however often it is called (acknowledgements get lost). */
  settleRequest(request: RequestRecord): Promise<void>
  usage(): Promise<readonly UsageRow[]>

  /** Deletes what has only been kept for a while: ended requests (their usage stays), history, events, expired join tokens. */
  prune(before: {
    readonly requestsEnded: Instant
    readonly history: Instant
    readonly events: Instant
    /** However young. */
    readonly eventsMax: number
    readonly joinTokensExpired: Instant
  }): Promise<void>

  /** A cheap round trip; resolves when the database answers. */
  ping(): Promise<void>
  close(): Promise<void>
}
