import type { Clock, Instant } from '../../clock.ts'
import { knownFailure, type Failure } from '../../protocol/errors.ts'
import type { AgentId, JobId } from '../../protocol/ids.ts'
import type { Hello } from '../../protocol/agent-message.ts'
import type { AttemptCause } from '../../scheduler/attempt-cause.ts'
import type { SchedulerCommand } from '../../scheduler/command.ts'
import type { SchedulerEvent } from '../../scheduler/event.ts'
import type { Priority } from '../../scheduler/priority.ts'
import { Scheduler } from '../../scheduler/scheduler.ts'
import { tokenCost } from '../../scheduler/token-cost.ts'
import { closeCodes, type PoolMessage } from '../control/agent-session.ts'
import type {
  EmbedEvent,
  EmbedRequest,
  Inference,
  InferenceEvent,
  InferenceRequest,
} from '../inference.ts'
import type { RelayCommand, SeekStandby } from '../relay/relay-command.ts'
import type { RelayEvent } from '../relay/relay-event.ts'
import type { AgentRecord } from '../store/store.ts'
import { admissionRefusal, shuttingDown, tooLarge } from './admission.ts'
import type { ConnectedAgents } from './connected-agents.ts'
import type { AgentLink } from './agent-link.ts'
import type { Catalogue } from './catalogue.ts'
import { FlightTable, type Leg } from './flight-table.ts'
import { chatDeparture, embedDeparture, type Departure, type Flight } from './flight.ts'
import { opinionAfter } from './former-agent.ts'
import type { HealthWatch } from './health-watch.ts'
import type { Hedging } from './hedging.ts'
import { tellOfMachine } from './machine-news.ts'
import { chatRefusal, embedRefusal } from './model-refusal.ts'
import { orderModel } from './order-model.ts'
import type { PoolRandom } from './pool-random.ts'
import type { RegistryWriter } from './registry-writer.ts'
import type { ReliabilityWatch } from './reliability-watch.ts'
import type { Settlement } from './settlement.ts'
import { StallJudge } from './stall-judge.ts'

export type DispatcherDeps = {
  readonly clock: Clock
  readonly catalogue: Catalogue
  readonly settlement: Settlement
  readonly agents: ConnectedAgents
  readonly health: HealthWatch
  readonly onLeased: (priority: Priority, waitedMs: number) => void
  readonly reliability: ReliabilityWatch
  readonly random: PoolRandom
  /** Null: a first token may be as late as it wants. */
  readonly hedging: Hedging | null
  readonly registry: Pick<RegistryWriter, 'order'>
}

/**
 * The only owner of the scheduler and of every relay stream: it turns what happens (requests, messages, lost
 * connections, time) into their events, one after another, and performs their commands. It decides nothing itself.
 */
export class Dispatcher implements Inference {
  readonly scheduler = new Scheduler()
  readonly #deps: DispatcherDeps
  readonly #flights: FlightTable
  readonly #stalls: StallJudge
  readonly #pending: SchedulerEvent[] = []
  #draining = false
  #closing = false
  #fleetTickedAt: Instant = -Infinity
  #tokensRelayed = 0

  constructor(deps: DispatcherDeps) {
    this.#deps = deps
    this.#flights = new FlightTable(deps.random.firstStream())
    this.#stalls = new StallJudge(this.#flights)
  }

  get requestsRunning(): number {
    return this.#flights.size
  }

  get tokensRelayed(): number {
    return this.#tokensRelayed
  }

  submit(
    request: InferenceRequest,
    onEvent: (event: InferenceEvent) => void,
  ): { readonly cancel: () => void } {
    const manifest = this.#deps.catalogue.get(request.model)?.manifest
    const tokenIds = this.#deps.catalogue.tokenIdsOf(request.model)
    const refusal = manifest === undefined ? null : chatRefusal(manifest, request.chat, tokenIds)
    return this.#begin(chatDeparture(request, onEvent, tokenIds), refusal)
  }

  submitEmbed(
    request: EmbedRequest,
    onEvent: (event: EmbedEvent) => void,
  ): { readonly cancel: () => void } {
    const manifest = this.#deps.catalogue.get(request.model)?.manifest
    const refusal = manifest === undefined ? null : embedRefusal(manifest, request)
    return this.#begin(embedDeparture(request, manifest, onEvent), refusal)
  }

  /** @param modelRefusal why the model cannot do it */
  #begin(departure: Departure, modelRefusal: Failure | null): { readonly cancel: () => void } {
    const { needs } = departure
    const { jobId, model } = departure.request
    const refusal =
      (this.#closing ? shuttingDown : admissionRefusal(departure, this.#flights)) ??
      modelRefusal ??
      this.#deps.settlement.quarantine(departure)
    if (refusal !== null) {
      const usage = { promptTokens: 0, completionTokens: 0 }
      departure.onEvent({ type: 'failed', error: refusal, usage })
      return { cancel: () => {} }
    }
    this.#deps.hedging?.requested()
    const flight = this.#flights.add(departure)
    const spareInstanceId = this.#deps.random.instanceId()
    const { costTokens, prefixes } = departure
    const { keyId: tenant, priority = 'normal' } = departure.request
    const asked = { jobId, model, tenant, priority, costTokens, needs, prefixes, spareInstanceId }
    this.schedule({ type: 'request', ...asked })
    return { cancel: () => this.#cancel(flight) }
  }

  /** Also while its end is being stored: whoever has cancelled hears nothing of it. */
  #cancel(flight: Flight): void {
    flight.isCancelled = true
    this.#relay(flight, { type: 'client_gone' })
  }

  agentAdmitted(record: AgentRecord, hello: Hello, link: AgentLink): void {
    const former = this.#deps.agents.add(record, hello, link, this.#deps.clock.now())
    former?.close(closeCodes.replaced, 'the agent has connected again')
    // What still runs there belongs to attempts that were given up when the connection broke.
    for (const { stream, attempt } of hello.streams) link.send({ type: 'cancel', stream, attempt })
    const lost = this.#flights.legsOn(record.id)
    const { inventory, instances, features, externalModels = [] } = hello
    const { id: agentId, adminState } = record
    const reliability = this.#deps.reliability.admitted(record, this.#deps.clock.now())
    // First the news, then the losses: what is placed meanwhile must know the agent's slots as they are now.
    const health = this.#deps.health.admitted(record, inventory, this.#deps.clock.now())
    this.schedule({
      type: 'agent_up',
      agentId,
      inventory,
      adminState,
      reliability,
      health,
      instances,
      externalModels,
      features,
    })
    this.#lose(lost)
  }

  /** An agent may be revoked between the look at its record and its admission. */
  isRevoked(agentId: AgentId): boolean {
    return this.#deps.agents.isRevoked(agentId)
  }

  /** @param cause whose doing it was, as far as the connection tells */
  agentGone(agentId: AgentId, link: AgentLink, cause: AttemptCause = 'network'): void {
    const whose = this.#closing ? 'server' : cause
    if (!this.#deps.agents.remove(agentId, link, whose, this.#deps.clock.now())) return
    const lost = this.#flights.legsOn(agentId)
    this.schedule({ type: 'agent_down', agentId })
    this.#lose(lost)
  }

  /** A ping was not answered; its connection is still there. */
  agentSilent(agentId: AgentId): void {
    for (const { flight, attempt } of this.#flights.legsOn(agentId))
      this.#relay(flight, { type: 'agent_silent', attempt })
  }

  agentSays(agentId: AgentId, message: PoolMessage): void {
    switch (message.type) {
      case 'tokens': {
        const now = this.#deps.clock.now()
        for (const frame of message.frames) {
          const flight = this.#flights.heardFrom(agentId, frame)
          if (flight === undefined) continue
          if (frame.type === 'token' && frame.tokenId !== null) this.#tokensRelayed++
          this.#relay(flight, frame, now)
        }
        return
      }
      case 'started':
      case 'finished':
      case 'failed': {
        const flight = this.#flights.heardFrom(agentId, message)
        if (flight === undefined) return
        this.#relay(
          flight,
          message.type === 'failed' ? { ...message, error: knownFailure(message.error) } : message,
        )
        return
      }
      case 'heartbeat':
      case 'inventory':
      case 'external_models':
        tellOfMachine(this.#deps, agentId, message, event => this.schedule(event))
        return
      case 'instance': {
        const { instanceId, modelSha256, status } = message
        this.#deps.agents.instance(agentId, message)
        this.schedule({ type: 'instance', agentId, instanceId, modelSha256, status })
        if (status.state !== 'loading') return
        for (const { flight, attempt } of this.#flights.legsOn(agentId, instanceId))
          this.#relay(flight, { type: 'loading', attempt })
      }
    }
  }

  /**
   * Looks at every deadline.
   * @param dueAt when this should have happened: what a server that was held up itself did not see is no agent's silence
   */
  tick(dueAt = this.#deps.clock.now()): void {
    const now = this.#deps.clock.now()
    if (now - this.#fleetTickedAt >= fleetTickIntervalMs) {
      this.#fleetTickedAt = now
      this.schedule({ type: 'tick' })
    }
    this.#stalls.forget()
    for (const flight of this.#flights)
      if (flight.relay.dueAt <= dueAt) this.#relay(flight, { type: 'tick' }, dueAt)
  }

  /** Ends every request, and takes no more: the server goes away. */
  shutDown(): void {
    this.#closing = true
    for (const flight of this.#flights)
      this.#relay(flight, { type: 'refused', error: shuttingDown })
  }

  /** Feeds the scheduler. Events that arise while commands are performed wait their turn, so it sees one at a time. */
  schedule(event: SchedulerEvent): void {
    this.#pending.push(event)
    if (this.#draining) return
    this.#draining = true
    try {
      for (let next = this.#pending.shift(); next !== undefined; next = this.#pending.shift())
        for (const command of this.scheduler.handle(next, this.#deps.clock.now()))
          this.#perform(command)
    } finally {
      this.#draining = false
    }
  }

  #perform(command: SchedulerCommand): void {
    const { agents } = this.#deps
    switch (command.type) {
      case 'lease': {
        const flight = this.#flights.ofJob(command.jobId)
        if (flight === undefined) return
        const { agentId, instanceId, ready, contextTokens } = command
        const { wireBytes, request } = flight
        flight.fallbacks = command.fallbacks
        this.#deps.onLeased(request.priority ?? 'normal', command.waitedMs)
        const hedgeAfterMs = this.#deps.hedging?.afterMs(agentId, request.model, wireBytes)
        const refusal = this.#closing ? shuttingDown : this.#deps.settlement.quarantine(flight)
        this.#relay(
          flight,
          refusal !== null
            ? { type: 'refused', error: refusal }
            : { type: 'leased', agentId, instanceId, ready, contextTokens, hedgeAfterMs },
        )
        return
      }
      case 'standby': {
        const flight = this.#flights.ofJob(command.jobId)
        if (flight !== undefined) this.#relay(flight, command)
        return
      }
      case 'refuse': {
        const flight = this.#flights.ofJob(command.jobId)
        if (flight !== undefined) this.#relay(flight, { type: 'refused', error: command.error })
        return
      }
      case 'load':
      case 'remind':
      case 'unload':
      case 'order':
        if (!orderModel(this.#deps, command) && command.type === 'load') this.#cannotLoad(command)
        return
      case 'standing':
        agents.standing(command.agentId, command.standing.status, this.#deps.clock.now())
        if (command.standing.liveness === 'red') this.#lose(this.#flights.legsOn(command.agentId))
        return
      case 'disconnect':
        agents.close(command.agentId, closeCodes.tryAgainLater, 'heartbeats are missing')
        return
      case 'queued': {
        const { position, estimateMs } = command
        this.#flights.ofJob(command.jobId)?.onEvent({ type: 'queued', position, estimateMs })
        return
      }
    }
  }

  #relay(flight: Flight, event: RelayEvent, now = this.#deps.clock.now()): void {
    for (const command of flight.relay.handle(event, now)) this.#performRelay(flight, command)
  }

  #performRelay(flight: Flight, command: RelayCommand): void {
    const { agents, settlement, hedging } = this.#deps
    const { stream, request } = flight
    switch (command.type) {
      case 'deliver':
        flight.onEvent(
          command.logprob === undefined
            ? { type: 'segments', segments: command.segments }
            : { type: 'segments', segments: command.segments, logprob: command.logprob },
        )
        return
      case 'assign': {
        const { type: _, agentId, ...placed } = command
        const { attempt } = command
        const message = flight.assignment({ ...placed, jobId: request.jobId, stream })
        const sent = agents.send(agentId, message)
        if (sent === 'not_connected') this.#relay(flight, { type: 'agent_lost', attempt })
        if (sent === 'too_large') this.#relay(flight, { type: 'failed', attempt, error: tooLarge })
        return
      }
      case 'cancel':
        agents.send(command.agentId, { type: 'cancel', stream, attempt: command.attempt })
        return
      case 'retry':
        settlement.attemptLost(flight, command, flight.relay.record)
        this.schedule({
          type: 'retry',
          jobId: request.jobId,
          spareInstanceId: this.#deps.random.instanceId(),
          formerAgent: opinionAfter(command.error),
        })
        return
      case 'began':
        hedging?.began(command.agentId, request.model, flight.wireBytes, command.afterMs)
        return
      case 'seek_standby':
        this.#seekStandby(flight, command)
        return
      case 'drop': {
        const { jobId } = request
        const { agentId, error } = command
        if (error !== null) settlement.attemptLost(flight, { agentId, error }, flight.relay.record)
        const formerAgent = error === null ? null : opinionAfter(error)
        this.schedule({ type: 'drop', jobId, agentId, formerAgent })
        return
      }
      case 'finish':
      case 'fail':
      case 'abandon':
        this.#flights.remove(flight)
        if (command.type === 'fail' && command.agentId !== null)
          settlement.attemptFailed(flight, command.agentId, command.error)
        settlement.settle(flight, flight.relay.record, command, event => {
          if (!flight.isCancelled) flight.onEvent(event)
        })
        this.schedule({
          type: 'release',
          jobId: request.jobId,
          costTokens: tokenCost(command.usage.promptTokens, command.usage.completionTokens),
          failed: command.type === 'fail' && command.agentId !== null,
        })
    }
  }

  #cannotLoad({ agentId, instanceId, model }: SchedulerCommand & { readonly type: 'load' }): void {
    const error = { code: 'model_not_found', message: 'it was taken out of the catalogue' }
    const status = { state: 'failed', error } as const
    const modelSha256 = model.sha256
    this.schedule({ type: 'instance', agentId, instanceId, modelSha256, status })
  }

  /** Work moves: each of these attempts, unless it is over meanwhile, ends, and its stream looks for an agent again. */
  #lose(legs: readonly Leg[]): void {
    for (const { flight, attempt } of legs) this.#relay(flight, { type: 'agent_lost', attempt })
  }

  jobsOn(agentId: AgentId, model: string): readonly JobId[] {
    return this.#flights.jobsOn(agentId, model)
  }

  #seekStandby(flight: Flight, wanted: SeekStandby): void {
    const { agentId, reason } = wanted
    if (reason === 'slow_start' && this.#deps.hedging?.take() !== true) return
    const excused = this.#stalls.excuses(wanted, this.scheduler.agent(agentId)?.standing.liveness)
    // Whatever the reason is, it gets nothing new before it has shown that it lives; a silent one was asked already.
    if (reason !== 'silent') this.#deps.agents.probe(agentId)
    if (!excused) this.schedule({ type: 'race', jobId: flight.request.jobId })
  }
}

/** Heartbeats, pings and the waiting line have deadlines of seconds; streams have shorter ones. */
const fleetTickIntervalMs = 1_000
