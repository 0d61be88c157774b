import type { Instant } from '../../clock.ts'
import type { ExternalModel } from '../../models/external-model.ts'
import type { AgentMessage, Heartbeat, Hello } from '../../protocol/agent-message.ts'
import type { ErrorCode } from '../../protocol/errors.ts'
import type { Inventory } from '../../protocol/gpu.ts'
import type { AgentId } from '../../protocol/ids.ts'
import type { ServerMessage } from '../../protocol/server-message.ts'
import type { AttemptCause } from '../../scheduler/attempt-cause.ts'
import type { Announcement } from '../notify/announcer.ts'
import { OfflineWatch } from '../notify/offline-watch.ts'
import type { AgentRecord, AgentStatus } from '../store/store.ts'
import { closeCodes } from '../control/agent-session.ts'
import type { AgentLink, Sent } from './agent-link.ts'
import type { RegistryWriter } from './registry-writer.ts'
import type { ReliabilityWatch } from './reliability-watch.ts'

type Connected = {
  readonly link: AgentLink
  readonly softwareVersion: string
  readonly name: string
  readonly region: string | null
  lastHeartbeat: Heartbeat | null
  /** What its owner's engines serve; null: the owner runs none. */
  externalModels: readonly ExternalModel[] | null
}

/** Of an agent's external models, in a line of the log. */
const modelsNamedMax = 10

/** A machine that has no room, or does not want to, is no trouble: another one is asked. */
const expectedFailures: ReadonlySet<string> = new Set<ErrorCode>([
  'agent_refused',
  'out_of_memory',
  'overheated',
  'model_unloaded',
])

export type ConnectedAgentsDeps = {
  readonly registry: RegistryWriter
  readonly reliability: ReliabilityWatch
  /** Undefined: the catalogue has no such model. */
  readonly modelName: (sha256: string) => string | undefined
  /** Tells the operator. */
  readonly tell: (what: Announcement) => void
  readonly log: (agent: AgentId, name: string, text: string) => void
}

/** The agents that are connected to this process, and the record that is kept of them. */
export class ConnectedAgents {
  readonly #connected = new Map<AgentId, Connected>()
  /** Revoked since this process began; at most as many as there are agents. */
  readonly #revoked = new Set<AgentId>()
  /** What was last written of those that are not offline. */
  readonly #statuses = new Map<AgentId, AgentStatus>()
  readonly #offline = new OfflineWatch()
  readonly #deps: ConnectedAgentsDeps

  constructor(deps: ConnectedAgentsDeps) {
    this.#deps = deps
  }

  /** The last one of each. */
  heartbeats(): readonly Heartbeat[] {
    return [...this.#connected.values()].flatMap(({ lastHeartbeat }) => lastHeartbeat ?? [])
  }

  get size(): number {
    return this.#connected.size
  }

  get(id: AgentId): Readonly<Connected> | undefined {
    return this.#connected.get(id)
  }

  ids(): readonly AgentId[] {
    return [...this.#connected.keys()]
  }

  /** Throws the agent out and keeps it out, whatever record of it is on its way. */
  revoke(id: AgentId): void {
    this.#revoked.add(id)
    this.#offline.forget(id)
    this.close(id, closeCodes.refused, 'revoked by the operator')
  }

  isRevoked(id: AgentId): boolean {
    return this.#revoked.has(id)
  }

  /** The operator takes it back. */
  pardon(id: AgentId): void {
    this.#revoked.delete(id)
  }

  /** Those that the registry knows and that are not here yet: from when on they are missed. */
  expect(records: readonly AgentRecord[], now: Instant): void {
    for (const { id, name, adminState, lastHeartbeatAt } of records)
      if (adminState !== 'revoked' && lastHeartbeatAt !== null)
        this.#offline.left(id, name, lastHeartbeatAt, now)
  }

  /** Tells of those that stay away. */
  tellMissing(now: Instant): void {
    for (const { id, name, since } of this.#offline.overdue(now)) {
      const text = `it has not been here since ${new Date(since).toISOString()}`
      this.#deps.tell({ type: 'agent_offline', agentId: id, agentName: name, text })
    }
  }

  /** @returns the agent's former link when it had one: one connection an agent, the newest counts */
  add(record: AgentRecord, hello: Hello, link: AgentLink, now: Instant): AgentLink | undefined {
    const former = this.#connected.get(record.id)?.link
    if (former !== undefined) this.#deps.reliability.disconnected(record.id, 'network', now)
    const { version } = hello.software
    const { name } = record
    const { inventory, region } = hello
    this.#connected.set(record.id, {
      link,
      softwareVersion: version,
      name,
      region,
      lastHeartbeat: null,
      externalModels: hello.externalModels ?? null,
    })
    this.#deps.registry.heartbeat(record.id, now)
    if (!Bun.deepEquals(inventory, record.capabilities) || region !== record.region)
      this.#deps.registry.capabilities(record.id, inventory, region)
    this.#deps.registry.history({
      agentId: record.id,
      type: 'connected',
      at: now,
      metadata: { version, instances: hello.instances.length },
    })
    this.#deps.log(record.id, name, 'connected')
    const awayMs = this.#offline.came(record.id, now)
    if (awayMs !== null) {
      const text = `it is back after ${Math.round(awayMs / 3_600_000)} h`
      this.#deps.tell({ type: 'agent_back', agentId: record.id, agentName: name, text })
    }
    return former
  }

  /**
   * @param cause whose doing it was, as far as the connection tells
   * @returns false when the link is not the agent's current one
   */
  remove(id: AgentId, link: AgentLink, cause: AttemptCause, now: Instant): boolean {
    const connected = this.#connected.get(id)
    if (connected === undefined || connected.link !== link) return false
    this.#connected.delete(id)
    this.#deps.registry.history({ agentId: id, type: 'disconnected', at: now, metadata: { cause } })
    this.#deps.reliability.disconnected(id, cause, now)
    this.#deps.log(id, connected.name, 'disconnected')
    if (!this.isRevoked(id)) this.#offline.left(id, connected.name, now, now)
    return true
  }

  heartbeat(id: AgentId, heartbeat: Heartbeat, now: Instant): void {
    const connected = this.#connected.get(id)
    if (connected === undefined) return
    connected.lastHeartbeat = heartbeat
    this.#deps.registry.heartbeat(id, now)
    this.#deps.reliability.heartbeat(id, now)
  }

  inventory(id: AgentId, inventory: Inventory): void {
    const connected = this.#connected.get(id)
    if (connected === undefined) return
    this.#deps.registry.capabilities(id, inventory, connected.region)
    this.#deps.log(id, connected.name, 'told its inventory anew')
  }

  externalModels(id: AgentId, models: readonly ExternalModel[]): void {
    const connected = this.#connected.get(id)
    if (connected === undefined) return
    connected.externalModels = models
    const names = models.slice(0, modelsNamedMax).map(({ modelId }) => modelId)
    const more = models.length > names.length ? [`and ${models.length - names.length} more`] : []
    const what = [...names, ...more].join(', ') || 'none'
    this.#deps.log(id, connected.name, `its owner's engines serve: ${what}`)
  }

  instance(id: AgentId, message: Extract<AgentMessage, { type: 'instance' }>): void {
    const connected = this.#connected.get(id)
    const { status, instanceId } = message
    if (connected === undefined || status.state === 'loading') return
    const detail = status.state === 'failed' ? `: ${status.error.code} ${status.error.message}` : ''
    this.#deps.log(id, connected.name, `instance ${instanceId} is ${status.state}${detail}`)
    if (status.state === 'failed' && !expectedFailures.has(status.error.code)) {
      const model = this.#deps.modelName(message.modelSha256) ?? message.modelSha256
      const text = `${model} cannot be served there: ${status.error.message}`
      this.#deps.tell({ type: 'model_failed', agentId: id, agentName: connected.name, model, text })
    }
  }

  standing(id: AgentId, status: AgentStatus, now: Instant): void {
    // A ping that is late and then answered changes the colour alone, which placement knows.
    if (this.#statuses.get(id) === status) return
    if (status === 'offline') this.#statuses.delete(id)
    else this.#statuses.set(id, status)
    this.#deps.registry.status(id, status)
    if (status === 'offline')
      this.#deps.registry.history({ agentId: id, type: 'went_offline', at: now, metadata: {} })
    const name = this.#connected.get(id)?.name ?? this.#offline.nameOf(id) ?? id
    this.#deps.log(id, name, `is ${status}`)
  }

  send(id: AgentId, message: ServerMessage): Sent {
    return this.#connected.get(id)?.link.send(message) ?? 'not_connected'
  }

  /** Something of it is late: it gets nothing new until it has answered a ping. */
  probe(id: AgentId): void {
    this.#connected.get(id)?.link.probe()
  }

  sendAll(message: ServerMessage): void {
    for (const { link } of this.#connected.values()) link.send(message)
  }

  close(id: AgentId, code: number, reason: string): void {
    this.#connected.get(id)?.link.close(code, reason)
  }
}
