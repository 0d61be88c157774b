import type { AgentId } from '../src/protocol/ids.ts'
import type { AdminEvent } from '../src/server/notify/admin-event.ts'
import type {
  AgentRecord,
  HistoryEvent,
  JoinTokenRecord,
  KeyRecord,
  ModelOrderRecord,
  ModelRecord,
  ModelStay,
  RequestRecord,
  Store,
  UsageRow,
} from '../src/server/store/store.ts'

/** Every operation of `Store`, as what it does to the rows at the instant of its commit. */
export type Operations = {
  readonly [Name in Exclude<keyof Store, 'close'>]: (
    ...args: Parameters<Store[Name]>
  ) => Awaited<ReturnType<Store[Name]>>
}

/** What lies on the simulated disk: all that is left when a server dies. */
export class Tables implements Operations {
  readonly agents = new Map<AgentId, AgentRecord>()
  readonly requests = new Map<string, RequestRecord>()
  readonly joinTokens = new Map<string, JoinTokenRecord>()
  readonly #keys = new Map<string, KeyRecord>()
  readonly #models = new Map<string, ModelRecord>()
  readonly usageRows = new Map<string, UsageRow>()
  readonly #orders = new Map<string, ModelOrderRecord>()
  #history: HistoryEvent[] = []
  events: AdminEvent[] = []

  enrolAgent({ tokenId, tokenSecretHash, agent, now }: Parameters<Store['enrolAgent']>[0]) {
    const token = this.joinTokens.get(tokenId)
    if (token === undefined || !Bun.deepEquals(token.secretHash, tokenSecretHash))
      return 'token_unknown'
    if (token.expiresAt <= Math.round(now)) return 'token_expired'
    if (token.usesLeft <= 0) return 'token_used_up'
    if (this.agents.has(agent.id)) throw new Error('the agent is there already')
    this.joinTokens.set(tokenId, { ...token, usesLeft: token.usesLeft - 1 })
    const record: AgentRecord = {
      ...agent,
      status: 'offline',
      adminState: token.autoApprove ? 'active' : 'pending',
      lastHeartbeatAt: null,
      reliabilityRecord: null,
      enrolledAt: now,
      health: null,
    }
    this.agents.set(agent.id, record)
    return record
  }

  getAgent(id: AgentId) {
    return this.agents.get(id)
  }

  listAgents() {
    return [...this.agents.values()].toSorted(
      (a, b) => a.enrolledAt - b.enrolledAt || (a.id < b.id ? -1 : 1),
    )
  }

  updateAgentCapabilities(
    id: AgentId,
    capabilities: AgentRecord['capabilities'],
    region: string | null,
  ) {
    this.#change(id, { capabilities, region })
  }

  setAgentStatus(id: AgentId, status: AgentRecord['status']) {
    this.#change(id, { status })
  }

  setAgentAdminState(id: AgentId, adminState: AgentRecord['adminState']) {
    return this.#change(id, { adminState })
  }

  setAgentReliability(
    id: AgentId,
    reliability: number,
    reliabilityRecord: NonNullable<AgentRecord['reliabilityRecord']>,
  ) {
    if (!(reliability >= 0 && reliability <= 1)) throw new Error('no reliability')
    this.#change(id, { reliability, reliabilityRecord })
  }

  setAgentHealth(id: AgentId, health: NonNullable<AgentRecord['health']>) {
    this.#change(id, { health })
  }

  recordHeartbeats(beats: Parameters<Store['recordHeartbeats']>[0]) {
    for (const { id, at } of beats) {
      const known = this.agents.get(id)?.lastHeartbeatAt ?? -Infinity
      this.#change(id, { lastHeartbeatAt: Math.max(known, Math.round(at)) })
    }
  }

  appendHistory(events: readonly HistoryEvent[]) {
    for (const { agentId } of events)
      if (!this.agents.has(agentId)) throw new Error('history of nobody')
    this.#history.push(...events)
  }

  listHistory(id: AgentId, limitRows: number) {
    return this.#history
      .filter(({ agentId }) => agentId === id)
      .toReversed()
      .toSorted((a, b) => b.at - a.at)
      .slice(0, limitRows)
  }

  appendEvents(events: readonly AdminEvent[]) {
    for (const event of events) {
      const isKnown = event.agentId !== null && this.agents.has(event.agentId)
      this.events.push(isKnown ? event : { ...event, agentId: null })
    }
  }

  listEvents({ agentId, limitRows }: Parameters<Store['listEvents']>[0]) {
    return this.events
      .filter(event => agentId === null || event.agentId === agentId)
      .toReversed()
      .toSorted((a, b) => b.at - a.at)
      .slice(0, limitRows)
  }

  createJoinToken(token: JoinTokenRecord) {
    this.joinTokens.set(token.id, token)
  }

  createKey(key: KeyRecord) {
    if (this.#keys.has(key.id)) throw new Error('an id is given once')
    this.#keys.set(key.id, key)
  }

  getKey(id: string) {
    return this.#keys.get(id)
  }

  listKeys() {
    return [...this.#keys.values()].toSorted(
      (a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1),
    )
  }

  revokeKey(id: string, now: number) {
    const key = this.#keys.get(id)
    if (key === undefined || key.revokedAt !== null) return false
    this.#keys.set(id, { ...key, revokedAt: now })
    return true
  }

  addModel(model: ModelRecord) {
    if (model.slots < 1 || model.contextTokens < 1 || (model.idleUnloadMs ?? 0) < 0)
      throw new Error('no model')
    if (this.#models.has(model.manifest.name)) return false
    this.#models.set(model.manifest.name, model)
    return true
  }

  getModel(name: string) {
    return this.#models.get(name)
  }

  listModels() {
    return [...this.#models.values()].toSorted((a, b) => byText(a.manifest.name, b.manifest.name))
  }

  removeModel(name: string) {
    return this.#models.delete(name)
  }

  setModelStay(name: string, stay: Partial<ModelStay>) {
    const model = this.#models.get(name)
    if (model === undefined) return false
    this.#models.set(name, { ...model, ...stay })
    return true
  }

  listModelOrders() {
    return [...this.#orders.values()].toSorted(
      (a, b) => byText(a.agentId, b.agentId) || byText(a.model, b.model),
    )
  }

  setModelOrder(agentId: AgentId, model: string, loaded: boolean | null) {
    const row = JSON.stringify([agentId, model])
    if (loaded === null) this.#orders.delete(row)
    else this.#orders.set(row, { agentId, model, loaded })
  }

  settleRequest(request: RequestRecord) {
    const { jobId, keyId, model, promptTokens, completionTokens } = request
    if (promptTokens < 0 || completionTokens < 0) throw new Error('a negative count')
    if (this.requests.has(jobId)) return
    const row = JSON.stringify([keyId, model])
    const sum = this.usageRows.get(row)
    if ((sum?.promptTokens ?? 0) + promptTokens >= sumsBelow) throw new Error('out of range')
    this.requests.set(jobId, request)
    this.usageRows.set(row, {
      keyId,
      keyName: keyId,
      model,
      requests: (sum?.requests ?? 0) + 1,
      promptTokens: (sum?.promptTokens ?? 0) + promptTokens,
      completionTokens: (sum?.completionTokens ?? 0) + completionTokens,
    })
  }

  usage() {
    return [...this.usageRows.values()]
      .map(row => ({ ...row, keyName: this.#keys.get(row.keyId)?.name ?? row.keyId }))
      .toSorted(
        (a, b) =>
          byText(a.keyName, b.keyName) || byText(a.keyId, b.keyId) || byText(a.model, b.model),
      )
  }

  prune(before: Parameters<Store['prune']>[0]) {
    for (const [id, { endedAt }] of this.requests)
      if (endedAt < before.requestsEnded) this.requests.delete(id)
    this.#history = this.#history.filter(({ at }) => at >= before.history)
    this.events = this.events.filter(({ at }) => at >= before.events).slice(-before.eventsMax)
    for (const [id, { expiresAt }] of this.joinTokens)
      if (expiresAt < before.joinTokensExpired) this.joinTokens.delete(id)
  }

  ping() {}

  #change(id: AgentId, change: Partial<AgentRecord>): boolean {
    const record = this.agents.get(id)
    if (record === undefined) return false
    this.agents.set(id, { ...record, ...change })
    return true
  }
}

/** A sum has 63 bits. */
const sumsBelow = 2 ** 63

const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
