import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'
import { priorities, type Priority } from '../scheduler/priority.ts'
import { addModelGauges } from './model-gauges.ts'
import type { PoolAdmin } from './pool-admin.ts'
import type { RequestRecord } from './store/store.ts'

/** Models that get a label of their own; later ones are counted together, so that the label stays bounded. */
const modelLabelsMax = 200

/** Milliseconds between two looks at the event loop's delay; the library's 10 wake an idle server 100 times a second. */
const eventLoopMonitoringPrecision = 250

export type MetricsSource = Pick<PoolAdmin, 'counts' | 'modelFigures' | 'hottestGpuC'>

/** What `/metrics` shows: the process, the requests as they end, and the pool as it is when asked. */
export class Metrics {
  readonly #registry = new Registry()
  readonly #modelLabels = new Set<string>()
  readonly #requests = new Counter({
    name: 'gpupool_requests_total',
    help: 'Chat requests that have ended, by outcome and model',
    labelNames: ['outcome', 'model'] as const,
    registers: [this.#registry],
  })
  readonly #tokens = new Counter({
    name: 'gpupool_tokens_total',
    help: 'Tokens of ended requests, by kind (prompt, completion) and model',
    labelNames: ['kind', 'model'] as const,
    registers: [this.#registry],
  })
  readonly #firstToken = new Histogram({
    name: 'gpupool_time_to_first_token_seconds',
    help: 'From the arrival of a request to its first token',
    labelNames: ['model'] as const,
    buckets: [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120],
    registers: [this.#registry],
  })

  readonly #wait = new Histogram({
    name: 'gpupool_queue_wait_seconds',
    help: 'In line before a slot was given, by class; 0 where one was free',
    labelNames: ['class'] as const,
    buckets: [0, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300],
    registers: [this.#registry],
  })

  /** @param ofProcess what the process takes is shown too, which sets timers of its own */
  constructor(pool: MetricsSource, ofProcess = true) {
    if (ofProcess) collectDefaultMetrics({ register: this.#registry, eventLoopMonitoringPrecision })
    this.#addPoolGauges(() => pool.counts())
    addModelGauges(this.#registry, () => pool.modelFigures().slice(0, modelLabelsMax))
    this.#gauge(
      'gpupool_gpu_temperature_max_celsius',
      'Of the hottest device of all connected agents, as last heard; -1: none is known',
      () => pool.hottestGpuC() ?? -1,
    )
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  /** Counts a request, once, at its end. */
  requestEnded(record: RequestRecord): void {
    const model = this.#modelLabel(record)
    this.#requests.inc({ outcome: record.outcome, model })
    this.#tokens.inc({ kind: 'prompt', model }, record.promptTokens)
    this.#tokens.inc({ kind: 'completion', model }, record.completionTokens)
    if (record.firstTokenAt !== null)
      this.#firstToken.observe({ model }, (record.firstTokenAt - record.receivedAt) / 1000)
  }

  /** A request has been given a slot. */
  leased(priority: Priority, waitedMs: number): void {
    this.#wait.observe({ class: priority }, waitedMs / 1_000)
  }

  /** The text that Prometheus scrapes. */
  render(): Promise<string> {
    return this.#registry.metrics()
  }

  /** A client can ask for any name, so a name that is no model's never becomes a label. */
  #modelLabel(record: RequestRecord): string {
    if (record.errorCode === 'model_not_found') return 'unknown'
    if (this.#modelLabels.has(record.model)) return record.model
    if (this.#modelLabels.size >= modelLabelsMax) return 'other'
    this.#modelLabels.add(record.model)
    return record.model
  }

  #addPoolGauges(counts: PoolAdmin['counts']): void {
    this.#gauge(
      'gpupool_agents_connected',
      'Agents with an open connection',
      () => counts().agentsConnected,
    )
    this.#gauge(
      'gpupool_slots',
      'Requests that ready models could serve at the same time',
      () => counts().slotsTotal,
    )
    this.#gauge('gpupool_slots_busy', 'Slots that serve a request now', () => counts().slotsBusy)
    this.#gauge('gpupool_requests_running', 'Requests in flight', () => counts().requestsRunning)
    new Gauge({
      name: 'gpupool_queue_depth',
      help: 'Requests that wait for a slot, by class',
      labelNames: ['class'] as const,
      registers: [this.#registry],
      collect() {
        const { queuedByPriority } = counts()
        for (const name of priorities) this.set({ class: name }, queuedByPriority[name])
      },
    })
    this.#gauge(
      'gpupool_tokens_relayed',
      'Tokens relayed since the start',
      () => counts().tokensRelayed,
    )
    new Gauge({
      name: 'gpupool_agents',
      help: 'Connected agents by liveness: green may get work, yellow is late',
      labelNames: ['liveness'] as const,
      registers: [this.#registry],
      collect() {
        const { agentsConnected, agentsGreen } = counts()
        this.set({ liveness: 'green' }, agentsGreen)
        this.set({ liveness: 'yellow' }, Math.max(0, agentsConnected - agentsGreen))
      },
    })
  }

  #gauge(name: string, help: string, read: () => number): void {
    new Gauge({
      name,
      help,
      registers: [this.#registry],
      collect() {
        this.set(read())
      },
    })
  }
}
