import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { pino } from 'pino'
import { systemClock } from '../../src/clock.ts'
import { startLlamaEngine } from '../../src/agent/engine/llama-engine.ts'
import type { Engine, StartEngine } from '../../src/agent/engine/engine.ts'
import { InstanceHost, type InstanceHostDeps } from '../../src/agent/instance-host.ts'
import { Quarantine } from '../../src/agent/quarantine.ts'
import { processTimers } from '../../src/agent/timers.ts'
import type { AgentMessage, InstanceState } from '../../src/protocol/agent-message.ts'
import { newInstanceId, newJobId, type InstanceId } from '../../src/protocol/ids.ts'
import type { Load } from '../../src/protocol/server-message.ts'
import { decodeTokenFrames } from '../../src/protocol/token-frames.ts'

/** What became of a job: its text, or the code of its failure. */
export type JobEnd = { readonly text: string } | { readonly failed: string }

/**
 * An agent's part that owns models and workers, with real workers and no server: the test gives the orders, and waits
 * for what is said.
 */
export class RealHost {
  readonly host: InstanceHost
  readonly quarantine: Quarantine
  /** Engines that are alive, by what they hold. */
  readonly engines = new Map<Engine, string>()
  /** The most that were alive at the same time, and how many were ended while they had jobs. */
  enginesMax = 0
  endedInUse = 0
  readonly #files = new Map<string, string>()
  readonly #states = new Map<InstanceId, InstanceState>()
  readonly #texts = new Map<number, string>()
  readonly #ends = new Map<number, JobEnd>()
  readonly #watchers = new Set<() => void>()
  #stream = 0

  /** @param dir where the quarantine lies */
  constructor(dir: string, deps: Partial<Pick<InstanceHostDeps, 'availableBytes'>> = {}) {
    this.quarantine = new Quarantine(dir, 'engine under test', pino({ level: 'silent' }))
    this.host = new InstanceHost({
      clock: systemClock,
      timers: processTimers,
      log: pino({ level: 'silent' }),
      startEngine: (model, onEvent) => this.#startEngine(model, onEvent),
      startExternal: () => {
        throw new Error('there is no engine of an owner here')
      },
      modelFiles: {
        obtain: ({ manifest }) => Promise.resolve({ path: this.#files.get(manifest.sha256) ?? '' }),
      },
      chooseThreads: () => 1,
      availableBytes: () => 2 ** 40,
      quarantine: this.quarantine,
      idleUnloadMs: null,
      gpuMemory: () => ({ state: 'none' }),
      onActivity: () => {},
      say: message => this.#hear(message),
      sendFrame: bytes => this.#hearFrame(bytes),
      ...deps,
    })
    this.host.connected(false)
  }

  /** Orders a model; resolves when the agent has it, or says why not. */
  async load(path: string, change: Partial<Load> = {}): Promise<Load & { state: InstanceState }> {
    const load = this.order(path, change)
    const isOver = (state: InstanceState | undefined) =>
      state?.state === 'ready' || state?.state === 'failed'
    await this.until(() => isOver(this.stateOf(load)))
    return { ...load, state: this.stateOf(load) ?? { state: 'unloaded' } }
  }

  order(path: string, change: Partial<Load> = {}): Load {
    const bytes = readFileSync(path)
    const sha256 = createHash('sha256').update(bytes).digest('hex')
    this.#files.set(sha256, path)
    const load: Load = {
      type: 'load',
      instanceId: newInstanceId(),
      manifest: {
        name: `model-${sha256.slice(0, 8)}`,
        sha256,
        sizeBytes: bytes.length,
        architecture: 'llama',
        quantisation: null,
        contextTokensTrained: 1_024,
        chatTemplateSha256: null,
      },
      sources: [{ kind: 'path', path }],
      contextTokens: 512,
      slots: 2,
      ...change,
    }
    this.#states.delete(load.instanceId)
    this.host.order(load)
    return load
  }

  unload({ instanceId }: Load): void {
    this.host.order({ type: 'unload', instanceId })
  }

  /** Resolves when the job has ended, however. */
  async ask({ instanceId }: Load, content: string, maxTokens: number | null): Promise<JobEnd> {
    const stream = ++this.#stream
    this.#texts.set(stream, '')
    this.host.order({
      type: 'assign',
      jobId: newJobId(),
      stream,
      attempt: 0,
      instanceId,
      chat: {
        messages: [{ role: 'user', content }],
        tools: [],
        sampling: { temperature: 0, topP: 1, seed: 1 },
        maxTokens,
        stop: [],
        renderTimeMs: 0,
      },
      continuation: null,
    })
    await this.until(() => this.#ends.has(stream))
    const end = this.#ends.get(stream) ?? { failed: 'unknown' }
    this.#ends.delete(stream)
    this.#texts.delete(stream)
    return end
  }

  stateOf({ instanceId }: Pick<Load, 'instanceId'>): InstanceState | undefined {
    return this.#states.get(instanceId)
  }

  /** Resolves as soon as the condition holds; it is looked at whenever something is said. */
  async until(condition: () => boolean): Promise<void> {
    if (condition()) return
    await new Promise<void>(resolve => {
      const watcher = () => {
        if (!condition()) return
        this.#watchers.delete(watcher)
        resolve()
      }
      this.#watchers.add(watcher)
    })
  }

  #startEngine(...[model, onEvent]: Parameters<StartEngine>): Engine {
    const jobs = new Set<number>()
    const engine = startLlamaEngine(model, event => {
      if (event.type === 'died') this.engines.delete(engine)
      if (event.type === 'finished' || event.type === 'failed') jobs.delete(event.stream)
      onEvent(event)
    })
    this.engines.set(engine, model.modelPath)
    this.enginesMax = Math.max(this.enginesMax, this.engines.size)
    const run = engine.run.bind(engine)
    engine.run = job => {
      jobs.add(job.stream)
      run(job)
    }
    const close = engine.close.bind(engine)
    engine.close = async () => {
      if (jobs.size > 0) this.endedInUse++
      await close()
      this.engines.delete(engine)
    }
    return engine
  }

  #hear(message: AgentMessage): void {
    if (message.type === 'instance') this.#states.set(message.instanceId, message.status)
    else if (message.type === 'finished')
      this.#ends.set(message.stream, { text: this.#texts.get(message.stream) ?? '' })
    else if (message.type === 'failed')
      this.#ends.set(message.stream, { failed: message.error.code })
    for (const watcher of this.#watchers) watcher()
  }

  #hearFrame(bytes: Uint8Array<ArrayBuffer>): void {
    const message = decodeTokenFrames(bytes)
    if (typeof message === 'string') throw new Error(message)
    for (const frame of message.frames) {
      if (frame.type !== 'token') continue
      const text = frame.segments.map(segment => segment.text).join('')
      this.#texts.set(frame.stream, (this.#texts.get(frame.stream) ?? '') + text)
    }
  }
}
