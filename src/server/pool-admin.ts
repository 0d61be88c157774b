import type { ErrorTally } from '../capability/error-window.ts'
import type { DeviceJudgement } from '../capability/judge-device.ts'
import type { Instant } from '../clock.ts'
import type { ExternalModel } from '../models/external-model.ts'
import type { InstanceState, Heartbeat } from '../protocol/agent-message.ts'
import type { Failure } from '../protocol/errors.ts'
import type { GpuInventory, GpuReading, Inventory } from '../protocol/gpu.ts'
import type { AgentId, InstanceId } from '../protocol/ids.ts'
import type { Fit } from '../scheduler/capacity.ts'
import type { Priority } from '../scheduler/priority.ts'
import type { QueueRow } from '../scheduler/waiting-room.ts'
import type { AdminState, AgentRecord, AgentStatus } from './store/store.ts'

/** What is believed about an agent right now, beside what the store keeps. */
export type AgentLive = {
  readonly connected: boolean
  /** green: may get work; yellow: late, no new work; red: gone, its work has moved. */
  readonly liveness: 'green' | 'yellow' | 'red'
  /** As of now; the record's is written behind. Null: this process has not seen the agent lately. */
  readonly status: AgentStatus | null
  readonly lastHeartbeatAt: Instant | null
  readonly softwareVersion: string | null
  readonly lastHeartbeat: Omit<Heartbeat, 'type' | 'sequence' | 'agent_id'> | null
  readonly activeRequests: number
  /** What its owner's engines serve, outside the pool's worker; null: the owner runs none, or it is not connected. */
  readonly externalModels: readonly ExternalModel[] | null
  readonly instances: readonly {
    readonly instanceId: InstanceId
    readonly model: string
    readonly status: InstanceState
  }[]
}

/** One device: what it is, does and is good for. */
export type DeviceOverview = {
  readonly gpu: GpuInventory
  /** Memory that a model may take, MB; null when not known. */
  readonly memoryMb: number | null
  readonly judgement: DeviceJudgement
  /** Of the last 24 h. */
  readonly thermalEvents: number
  /** Of the last heartbeat; null before it and while not connected. */
  readonly reading: GpuReading | null
}

export type AgentOverview = {
  readonly record: AgentRecord
  readonly live: AgentLive
  readonly inventory: Inventory
  /** As of now; the record's is written behind. The reason has the figures. */
  readonly reliability: { readonly reliability: number; readonly reason: string }
  readonly devices: readonly DeviceOverview[]
  readonly health: {
    /** Why it gets no new work; null: its hardware is no reason. */
    readonly stopped: string | null
    readonly slowed: boolean
    readonly errors: ErrorTally
  }
  /** How it could hold each model of the catalogue. Computed when asked, since a listing does not need it. */
  readonly modelFits: () => readonly ((Fit | ExternalFit) & { readonly model: string })[]
}

export type ExternalFit = {
  readonly kind: 'external' | 'none'
  readonly device: null
  readonly reason: string
}

/** One model on all connected agents. */
export type ModelFigures = {
  readonly model: string
  readonly agents: number
  readonly slotsBusy: number
  readonly slotsTotal: number
  readonly queueDepth: number
  readonly memoryMainMb: number
  readonly memoryGpuMb: number
  /** Means over the agents that have measured it; null: none has. */
  readonly prefillTokensPerS: number | null
  readonly decodeTokensPerS: number | null
  readonly loadMs: number | null
  /** Since each agent began. */
  readonly promptTokens: number
  readonly cachedTokens: number
}

/** What the operator can see and do, for the admin routes, `/readyz` and `/metrics`. */
export type PoolAdmin = {
  listAgents(): Promise<readonly AgentOverview[]>
  getAgent(id: AgentId): Promise<AgentOverview | undefined>
  /** Stored and in force at once: a revoked agent is disconnected and its work moves. False: no such agent. */
  setAdminState(id: AgentId, state: AdminState): Promise<boolean>
  /** Reads the catalogue anew after it was changed. */
  catalogueChanged(): Promise<void>
  /** How long the model stays in memory was changed in the store. */
  modelStayChanged(name: string): Promise<void>
  /**
   * Loads a model on the given agent, when it is back if it is away, or on every active one that can hold it; a Failure
   * when there is none.
   */
  loadModel(
    name: string,
    agentId: AgentId | null,
  ): Promise<{ readonly agents: number; readonly later?: number } | Failure>
  /** @returns on how many agents it was unloaded */
  unloadModel(name: string): Promise<number>
  /** What agents say of each model of the catalogue, those that are connected put together. */
  modelFigures(): readonly ModelFigures[]
  /** °C of the hottest device of all connected agents; null: nobody knows one. */
  hottestGpuC(): number | null
  /** What the owners' engines of all connected agents serve now. */
  externalModels(): readonly ExternalModel[]
  counts(): {
    readonly agentsConnected: number
    readonly agentsGreen: number
    readonly requestsRunning: number
    readonly requestsQueued: number
    readonly queuedByPriority: Readonly<Record<Priority, number>>
    readonly slotsTotal: number
    readonly slotsBusy: number
    readonly tokensRelayed: number
  }
  /** Who waits, by model and class. */
  queue(): readonly QueueRow[]
  /** A fresh join link. `uses` ≥ 1, `ttlMs` > 0. */
  createJoinLink(options: {
    readonly uses: number
    readonly ttlMs: number
    readonly autoApprove: boolean
  }): Promise<string>
}
