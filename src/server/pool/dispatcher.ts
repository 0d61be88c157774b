import type { Clock } from '../../clock.ts'
import { knownFailure, type ErrorCode, type Failure } from '../../protocol/errors.ts'
import type { AgentId, InstanceId, JobId } from '../../protocol/ids.ts'
import type { Hello } from '../../protocol/agent-message.ts'
import type { AttemptCause } from '../../scheduler/attempt-cause.ts'
import type { SchedulerCommand } from '../../scheduler/command.ts'
import type { SchedulerEvent } from '../../scheduler/event.ts'
import { Scheduler } from '../../scheduler/scheduler.ts'
import { limits } from '../../protocol/limits.ts'
import { closeCodes, type PoolMessage } from '../control/agent-session.ts'
import type {
  EmbedEvent,
  EmbedRequest,
  Inference,
  InferenceEvent,
  InferenceRequest,
} from '../inference.ts'
import type { RelayCommand, RelayEvent } from '../relay/relay-stream.ts'
import type { AgentRecord } from '../store/store.ts'
import type { ConnectedAgents } from './connected-agents.ts'
import type { AgentLink } from './agent-link.ts'
import type { Catalogue } from './catalogue.ts'
import { chatDeparture, embedDeparture, type Departure, type Flight } from './flight.ts'
import type { HealthWatch } from './health-watch.ts'
import { chatRefusal, embedRefusal } from './model-refusal.ts'
import type { PoolRandom } from './pool-random.ts'
import type { ReliabilityWatch } from './reliability-watch.ts'
import type { Settlement } from './settlement.ts'

export type DispatcherDeps = {
  readonly clock: Clock
  readonly catalogue: Catalogue
  readonly settlement: Settlement
  readonly agents: ConnectedAgents
  readonly health: HealthWatch
  readonly reliability: ReliabilityWatch
  readonly random: PoolRandom
}

/**
 * The only owner of the scheduler and of every relay stream: it turns what happens (requests, messages, lost
 * connections, time) into their events, one after another, and performs their commands. It decides nothing itself.
 */
export class Dispatcher implements Inference {
  readonly scheduler = new Scheduler()
  readonly #deps: DispatcherDeps
  readonly #flights = new Map<JobId, Flight>()
  readonly #byStream = new Map<number, Flight>()
  readonly #pending: SchedulerEvent[] = []
  #draining = false
  #closing = false
  #lastStream: number
  #bytesInFlight = 0
  #tokensRelayed = 0

  constructor(deps: DispatcherDeps) {
    this.#deps = deps
    this.#lastStream = deps.random.firstStream()
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
      this.#refusal(departure) ?? modelRefusal ?? this.#deps.settlement.quarantine(departure)
    if (refusal !== null) {
      const usage = { promptTokens: 0, completionTokens: 0 }
      departure.onEvent({ type: 'failed', error: refusal, usage })
      return { cancel: () => {} }
    }
    const flight = { ...departure, stream: this.#newStream(), agentId: null, instanceId: null }
    this.#bytesInFlight += flight.keptBytes
    this.#flights.set(jobId, flight)
    this.#byStream.set(flight.stream, flight)
    const spareInstanceId = this.#deps.random.instanceId()
    this.schedule({ type: 'request', jobId, model, needs, spareInstanceId })
    return { cancel: () => this.#relay(flight, { type: 'client_gone' }) }
  }

  /** Why a request is not even looked at. Escapes and long numbers make the job larger than the body it came in. */
  #refusal({ wireBytes, keptBytes }: Departure): Failure | null {
    if (this.#closing) return shuttingDown
    if (wireBytes > jobBytesMax) return tooLarge
    return this.#bytesInFlight + keptBytes > bytesInFlightMax ? overloaded : null
  }

  agentAdmitted(record: AgentRecord, hello: Hello, link: AgentLink): void {
    const former = this.#deps.agents.add(record, hello, link, this.#deps.clock.now())
    former?.close(closeCodes.replaced, 'the agent has connected again')
    // What still runs there belongs to attempts that were given up when the connection broke.
    for (const { stream, attempt } of hello.streams) link.send({ type: 'cancel', stream, attempt })
    const lost = this.#flightsOf(record.id)
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
    this.#lose(agentId, lost)
  }

  /** An agent may be revoked between the look at its record and its admission. */
  isRevoked(agentId: AgentId): boolean {
    return this.#deps.agents.isRevoked(agentId)
  }

  /** @param cause whose doing it was, as far as the connection tells */
  agentGone(agentId: AgentId, link: AgentLink, cause: AttemptCause = 'network'): void {
    const whose = this.#closing ? 'server' : cause
    if (!this.#deps.agents.remove(agentId, link, whose, this.#deps.clock.now())) return
    const lost = this.#flightsOf(agentId)
    this.schedule({ type: 'agent_down', agentId })
    this.#lose(agentId, lost)
  }

  agentSays(agentId: AgentId, message: PoolMessage): void {
    switch (message.type) {
      case 'tokens': {
        const now = this.#deps.clock.now()
        for (const frame of message.frames) {
          const flight = this.#byStream.get(frame.stream)
          if (flight === undefined || flight.agentId !== agentId) continue
          if (frame.type === 'token' && frame.tokenId !== null) this.#tokensRelayed++
          this.#relay(flight, frame, now)
        }
        return
      }
      case 'started':
      case 'finished':
      case 'failed': {
        const flight = this.#byStream.get(message.stream)
        if (flight === undefined || flight.agentId !== agentId) return
        this.#relay(
          flight,
          message.type === 'failed' ? { ...message, error: knownFailure(message.error) } : message,
        )
        return
      }
      case 'heartbeat':
        this.#deps.agents.heartbeat(agentId, message, this.#deps.clock.now())
        this.schedule({
          type: 'heartbeat',
          agentId,
          draining: message.status === 'draining',
          latencyMs: message.network_latency_ms,
        })
        this.#deps.health.heartbeat(agentId, message, this.#deps.clock.now())
        return
      case 'inventory': {
        const { inventory } = message
        this.#deps.agents.inventory(agentId, inventory)
        this.schedule({ type: 'inventory', agentId, inventory })
        this.#deps.health.inventory(agentId, inventory, this.#deps.clock.now())
        return
      }
      case 'external_models': {
        const { models } = message
        this.#deps.agents.externalModels(agentId, models)
        this.schedule({ type: 'external_models', agentId, models })
        return
      }
      case 'instance': {
        const { instanceId, modelSha256, status } = message
        this.#deps.agents.instance(agentId, message)
        this.schedule({ type: 'instance', agentId, instanceId, modelSha256, status })
        if (status.state !== 'loading') return
        for (const flight of this.#flights.values())
          if (flight.agentId === agentId && flight.instanceId === instanceId)
            this.#relay(flight, { type: 'loading' })
      }
    }
  }

  tick(): void {
    this.schedule({ type: 'tick' })
    for (const flight of this.#flights.values()) this.#relay(flight, { type: 'tick' })
  }

  /** Ends every request, and takes no more: the server goes away. */
  shutDown(): void {
    this.#closing = true
    for (const flight of this.#flights.values())
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
    const { agents, catalogue } = this.#deps
    switch (command.type) {
      case 'lease': {
        const flight = this.#flights.get(command.jobId)
        if (flight === undefined) return
        const { agentId, instanceId, ready, contextTokens } = command
        flight.agentId = agentId
        flight.instanceId = instanceId
        const refusal = this.#closing ? shuttingDown : this.#deps.settlement.quarantine(flight)
        this.#relay(
          flight,
          refusal !== null
            ? { type: 'refused', error: refusal }
            : { type: 'leased', agentId, instanceId, ready, contextTokens },
        )
        return
      }
      case 'refuse': {
        const flight = this.#flights.get(command.jobId)
        if (flight !== undefined) this.#relay(flight, { type: 'refused', error: command.error })
        return
      }
      case 'load': {
        const { agentId, instanceId, model, withoutGpu } = command
        const load = catalogue.loadMessage(model, instanceId, withoutGpu)
        if (load !== undefined) agents.send(agentId, load)
        else this.#cannotLoad(agentId, instanceId, model.sha256)
        return
      }
      case 'unload':
        agents.send(command.agentId, { type: 'unload', instanceId: command.instanceId })
        return
      case 'standing':
        agents.standing(command.agentId, command.standing.status, this.#deps.clock.now())
        if (command.standing.liveness === 'red')
          this.#lose(command.agentId, this.#flightsOf(command.agentId))
        return
      case 'disconnect':
        agents.close(command.agentId, closeCodes.tryAgainLater, 'heartbeats are missing')
        return
      case 'queued':
        return
    }
  }

  #relay(flight: Flight, event: RelayEvent, now = this.#deps.clock.now()): void {
    for (const command of flight.relay.handle(event, now)) this.#performRelay(flight, command)
  }

  #performRelay(flight: Flight, command: RelayCommand): void {
    const { agents, settlement } = this.#deps
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
        if (sent === 'not_connected') this.#relay(flight, { type: 'agent_lost' })
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
          formerAgent: interruptions.has(command.error.code) ? 'avoid' : 'ban',
        })
        return
      case 'finish':
      case 'fail':
      case 'abandon':
        this.#flights.delete(request.jobId)
        this.#byStream.delete(stream)
        this.#bytesInFlight -= flight.keptBytes
        if (command.type === 'fail' && command.agentId !== null)
          settlement.attemptFailed(flight, command.agentId, command.error)
        settlement.settle(flight, flight.relay.record, command, flight.onEvent)
        this.schedule({ type: 'release', jobId: request.jobId })
    }
  }

  #cannotLoad(agentId: AgentId, instanceId: InstanceId, modelSha256: string): void {
    const error = { code: 'model_not_found', message: 'it was taken out of the catalogue' }
    const status = { state: 'failed', error } as const
    this.schedule({ type: 'instance', agentId, instanceId, modelSha256, status })
  }

  #flightsOf(agentId: AgentId): readonly Flight[] {
    return [...this.#flights.values()].filter(flight => flight.agentId === agentId)
  }

  /** Work moves: each of these streams, unless it has moved meanwhile, looks for an agent again. */
  #lose(agentId: AgentId, flights: readonly Flight[]): void {
    for (const flight of flights) {
      if (flight.agentId !== agentId) continue
      flight.agentId = null
      this.#relay(flight, { type: 'agent_lost' })
    }
  }

  /** Jobs that run on the agent with that model, and so in one worker. */
  jobsOn(agentId: AgentId, model: string): readonly JobId[] {
    const there = this.#flightsOf(agentId).filter(({ request }) => request.model === model)
    return there.map(({ request }) => request.jobId)
  }

  #newStream(): number {
    do this.#lastStream = (this.#lastStream + 1) % streamsMax
    while (this.#byStream.has(this.#lastStream))
    return this.#lastStream
  }
}

/** One job on the wire; a continuation's token ids need room beside it. */
const jobBytesMax = limits.controlMessageBytesMax / 2
/** All jobs that run or wait, and vectors on their way, since they are kept until the end. */
const bytesInFlightMax = 512 * 1024 * 1024

/** Failures of machines that may be back in a moment, better than before; other agents are tried first. */
const interruptions: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'agent_lost',
  'worker_died',
  'worker_hung',
  'overheated',
  'model_unloaded',
])

const shuttingDown: Failure = {
  code: 'server_shutting_down',
  message: 'the server is restarting',
}

const overloaded: Failure = {
  code: 'queue_full',
  message: 'the requests that wait or run hold too much memory already; try again shortly',
}

const tooLarge: Failure = {
  code: 'payload_too_large',
  message: 'the request is too large to be sent to an agent',
}

/** Stream numbers are 32 bits on the wire and are used again after they wrap. */
const streamsMax = 2 ** 32
