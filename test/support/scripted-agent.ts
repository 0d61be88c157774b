import type { Hello } from '../../src/protocol/agent-message.ts'
import type { ChatJob } from '../../src/protocol/chat-job.ts'
import type { Heartbeat } from '../../src/protocol/agent-message.ts'
import type { ErrorCode } from '../../src/protocol/errors.ts'
import type { Inventory } from '../../src/protocol/gpu.ts'
import { newJobId, type AgentId } from '../../src/protocol/ids.ts'
import type { Assign, ServerMessage } from '../../src/protocol/server-message.ts'
import type { TokenFrame } from '../../src/protocol/token-frame.ts'
import type { InferenceEvent } from '../../src/server/inference.ts'
import { createLog } from '../../src/server/log.ts'
import type { AdminEvent } from '../../src/server/notify/admin-event.ts'
import type { AgentLink, Sent } from '../../src/server/pool/agent-link.ts'
import { assemblePool, type Pool } from '../../src/server/pool/assemble-pool.ts'
import type { Store } from '../../src/server/store/store.ts'
import { enrolled, inventory } from './store-fixtures.ts'

/** The real dispatcher, scheduler, relay and store, with a clock that the test moves. */
export const openPool = (
  store: Store,
  now: () => number,
  send: (event: AdminEvent) => void = () => {},
  hedge = false,
): Promise<Pool> => {
  const clock = { now }
  return assemblePool({
    clock,
    log: createLog({ level: 'silent', pretty: false, clock }),
    store,
    send,
    hedge,
    createJoinLink: () => Promise.reject(new Error('not used')),
  })
}

/** An agent at the end of a link, which does what the test says. */
export class ScriptedAgent implements AgentLink {
  readonly sent: ServerMessage[] = []
  readonly id: AgentId
  readonly #pool: Pool
  closedWith: number | null = null
  answer: Sent = 'sent'
  probes = 0

  constructor(id: AgentId, pool: Pool) {
    this.id = id
    this.#pool = pool
  }

  send(message: ServerMessage): Sent {
    if (this.answer === 'sent') this.sent.push(message)
    return this.answer
  }

  probe(): void {
    this.probes++
  }

  close(code: number): void {
    this.closedWith = code
  }

  /** The newest job that it was given. */
  get job(): Assign {
    const job = this.sent.findLast(message => message.type === 'assign')
    if (job === undefined) throw new Error('no job was assigned')
    return job
  }

  get types(): readonly string[] {
    return this.sent.map(message => message.type)
  }

  says(message: Parameters<Pool['dispatcher']['agentSays']>[1]): void {
    this.#pool.dispatcher.agentSays(this.id, message)
  }

  /** @param temperatureC of its only GPU */
  beat(
    temperatureC: number | null = null,
    told: Partial<Pick<Heartbeat, 'status' | 'reason' | 'network_latency_ms'>> = {},
  ): void {
    const unknown = { vram_used_mb: null, vram_total_mb: null, utilization_pct: null }
    const reading = { id: 'GPU-1', temperature_c: temperatureC, ...unknown, power_w: null }
    this.says({
      type: 'heartbeat',
      sequence: 1,
      agent_id: this.id,
      status: 'available',
      current_load: 0,
      gpu_state: null,
      gpus: temperatureC === null ? [] : [reading],
      network_latency_ms: 1,
      models_loaded: [],
      ...told,
    })
  }

  /** Its newest job fails. */
  fail(code: ErrorCode, message = 'x'): void {
    const { stream, attempt } = this.job
    this.says({ type: 'failed', stream, attempt, error: { code, message } })
  }

  /** What it was last told to load is in memory. */
  isReady(): void {
    const load = this.sent.findLast(message => message.type === 'load')
    if (load === undefined) throw new Error('it was not told to load')
    const { instanceId, manifest, contextTokens, slots } = load
    const status = { state: 'ready', contextTokens, slots, loadMs: 1 } as const
    this.says({ type: 'instance', instanceId, modelSha256: manifest.sha256, status })
  }

  /** The model that it was last told to load is in memory. */
  ready(slots: number): void {
    const load = this.sent.findLast(message => message.type === 'load')
    if (load === undefined) throw new Error('no model was to be loaded')
    const { instanceId, manifest, contextTokens } = load
    const status = { state: 'ready', contextTokens, slots, loadMs: 1 } as const
    this.says({ type: 'instance', instanceId, modelSha256: manifest.sha256, status })
  }

  start(): void {
    const { stream, attempt } = this.job
    this.says({
      type: 'started',
      stream,
      attempt,
      promptTokens: 3,
      promptSha256: 'e'.repeat(64),
    })
  }

  token(index: number, text: string): void {
    const { stream, attempt } = this.job
    const frame: TokenFrame = {
      type: 'token',
      stream,
      attempt,
      choice: 0,
      index,
      tokenId: 7,
      segments: [{ kind: 'answer', text }],
    }
    this.says({ type: 'tokens', frames: [frame] })
  }

  finish(tokens: number): void {
    const { stream, attempt } = this.job
    this.says({ type: 'finished', stream, attempt, reason: 'stop', tokens })
  }
}

/** Connects an agent that is enrolled first, unless an id names one that is. */
export async function connectAgent(
  pool: Pool,
  store: Store,
  name: string,
  {
    id,
    seen = inventory,
    features = [],
    instances = [],
  }: {
    readonly id?: AgentId
    readonly seen?: Inventory
    readonly features?: string[]
    readonly instances?: Hello['instances']
  } = {},
): Promise<ScriptedAgent> {
  const record =
    id === undefined
      ? await enrolled(store, { name, capabilities: inventory })
      : await store.getAgent(id)
  if (record === undefined) throw new Error('unknown agent')
  const agent = new ScriptedAgent(record.id, pool)
  pool.dispatcher.agentAdmitted(
    record,
    {
      type: 'hello',
      agentId: record.id,
      apiKey: '',
      versions: [1],
      features,
      software: { name: 'script', version: '1' },
      signature: '',
      inventory: seen,
      region: null,
      instances,
      streams: [{ stream: 99, attempt: 0 }],
    },
    agent,
  )
  return agent
}

export const chat: ChatJob = {
  messages: [{ role: 'user', content: 'hello' }],
  tools: [],
  sampling: { temperature: 0, topP: 1, seed: 1 },
  maxTokens: null,
  stop: [],
  renderTimeMs: 0,
}

/** A request for the model `tiny`, unless another is named, and what its client hears. */
export function askTiny(pool: Pool, receivedAt: number, name = 'tiny') {
  const events: InferenceEvent[] = []
  const jobId = newJobId()
  const request = { jobId, keyId: 'key-1', model: name, chat, receivedAt }
  const { cancel } = pool.dispatcher.submit(request, event => events.push(event))
  return { events, cancel }
}
