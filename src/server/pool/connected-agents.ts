import type { Instant } from '../../clock.ts'
import type { ExternalModel } from '../../models/external-model.ts'
import type { AgentMessage, Heartbeat, Hello } from '../../protocol/agent-message.ts'
import type { Inventory } from '../../protocol/gpu.ts'
import type { AgentId } from '../../protocol/ids.ts'
import type { ServerMessage } from '../../protocol/server-message.ts'
import type { AttemptCause } from '../../scheduler/attempt-cause.ts'
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

/** The agents that are connected to this process, and the record that is kept of them. */
export class ConnectedAgents {
  readonly #connected = new Map<AgentId, Connected>()
  /** Revoked since this process began; at most as many as there are agents. */
  readonly #revoked = new Set<AgentId>()
  /** What was last written of those that are not offline. */
  readonly #statuses = new Map<AgentId, AgentStatus>()
  readonly #registry: RegistryWriter
  readonly #reliability: ReliabilityWatch
  readonly #log: (agent: AgentId, name: string, text: string) => void

  constructor(
    registry: RegistryWriter,
    reliability: ReliabilityWatch,
    log: (agent: AgentId, name: string, text: string) => void,
  ) {
    this.#registry = registry
    this.#reliability = reliability
    this.#log = log
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
    this.close(id, closeCodes.refused, 'revoked by the operator')
  }

  isRevoked(id: AgentId): boolean {
    return this.#revoked.has(id)
  }

  /** The operator takes it back. */
  pardon(id: AgentId): void {
    this.#revoked.delete(id)
  }

  /** @returns the agent's former link when it had one: one connection an agent, the newest counts */
  add(record: AgentRecord, hello: Hello, link: AgentLink, now: Instant): AgentLink | undefined {
    const former = this.#connected.get(record.id)?.link
    if (former !== undefined) this.#reliability.disconnected(record.id, 'network', now)
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
    this.#registry.heartbeat(record.id, now)
    if (!Bun.deepEquals(inventory, record.capabilities) || region !== record.region)
      this.#registry.capabilities(record.id, inventory, region)
    this.#registry.history({
      agentId: record.id,
      type: 'connected',
      at: now,
      metadata: { version, instances: hello.instances.length },
    })
    this.#log(record.id, name, 'connected')
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
    this.#registry.history({ agentId: id, type: 'disconnected', at: now, metadata: { cause } })
    this.#reliability.disconnected(id, cause, now)
    this.#log(id, connected.name, 'disconnected')
    return true
  }

  heartbeat(id: AgentId, heartbeat: Heartbeat, now: Instant): void {
    const connected = this.#connected.get(id)
    if (connected === undefined) return
    connected.lastHeartbeat = heartbeat
    this.#registry.heartbeat(id, now)
    this.#reliability.heartbeat(id, now)
  }

  inventory(id: AgentId, inventory: Inventory): void {
    const connected = this.#connected.get(id)
    if (connected === undefined) return
    this.#registry.capabilities(id, inventory, connected.region)
    this.#log(id, connected.name, 'told its inventory anew')
  }

  externalModels(id: AgentId, models: readonly ExternalModel[]): void {
    const connected = this.#connected.get(id)
    if (connected === undefined) return
    connected.externalModels = models
    const names = models.slice(0, modelsNamedMax).map(({ modelId }) => modelId)
    const more = models.length > names.length ? [`and ${models.length - names.length} more`] : []
    const what = [...names, ...more].join(', ') || 'none'
    this.#log(id, connected.name, `its owner's engines serve: ${what}`)
  }

  instance(id: AgentId, message: Extract<AgentMessage, { type: 'instance' }>): void {
    const connected = this.#connected.get(id)
    const { status, instanceId } = message
    if (connected === undefined || status.state === 'loading') return
    const detail = status.state === 'failed' ? `: ${status.error.code} ${status.error.message}` : ''
    this.#log(id, connected.name, `instance ${instanceId} is ${status.state}${detail}`)
  }

  standing(id: AgentId, status: AgentStatus, now: Instant): void {
    // A ping that is late and then answered changes the colour alone, which placement knows.
    if (this.#statuses.get(id) === status) return
    if (status === 'offline') this.#statuses.delete(id)
    else this.#statuses.set(id, status)
    this.#registry.status(id, status)
    if (status === 'offline')
      this.#registry.history({ agentId: id, type: 'went_offline', at: now, metadata: {} })
    this.#log(id, this.#connected.get(id)?.name ?? id, `is ${status}`)
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
