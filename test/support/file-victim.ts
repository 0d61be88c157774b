import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { createStartWatched } from '../../src/agent/engine/watched-engine.ts'
import { startLlamaEngine } from '../../src/agent/engine/llama-engine.ts'
import { InstanceHost } from '../../src/agent/instance-host.ts'
import { Quarantine } from '../../src/agent/quarantine.ts'
import { processTimers } from '../../src/agent/timers.ts'
import { systemClock } from '../../src/clock.ts'
import { readMemory } from '../../src/gpu/machine.ts'
import type { AgentMessage } from '../../src/protocol/agent-message.ts'
import { newInstanceId, newJobId, type InstanceId } from '../../src/protocol/ids.ts'
import type { Load } from '../../src/protocol/server-message.ts'
import { createHash } from 'node:crypto'

/** How a file ended: it served, its load failed, its job failed, or it was put into quarantine. */
export type Outcome = 'served' | 'load failed' | 'job failed' | 'quarantined'

/** A worker that is silent for so long is cut; the demo model loads and answers within a second. */
const limits = {
  loadMs: 15_000,
  loadPerMegabyteMs: 0,
  firstTokenMs: 15_000,
  promptTokenMs: 0,
  gapMs: 10_000,
  gapFactor: 20,
}

/** The real instance host with real workers, which takes whatever file it is given. */
export class FileVictim {
  readonly #dir: string
  readonly #host: InstanceHost
  readonly #quarantine: Quarantine
  readonly #heard: AgentMessage[] = []
  readonly #paths = new Map<string, string>()
  #wake = Promise.withResolvers<void>()
  #stream = 0
  /** Of workers that were cut because they hung. */
  hangs = 0
  /** Of workers that died. */
  deaths = 0

  constructor(dir: string) {
    this.#dir = dir
    const log = pino({ level: 'silent' })
    this.#quarantine = new Quarantine(dir, 'test', log)
    const startWatched = createStartWatched(startLlamaEngine, {
      clock: systemClock,
      timers: processTimers,
      limits,
    })
    this.#host = new InstanceHost({
      clock: systemClock,
      timers: processTimers,
      log,
      startEngine: (model, onEvent) =>
        startWatched(model, event => {
          if (event.type === 'died' && event.error.code === 'worker_hung') this.hangs++
          else if (event.type === 'died') this.deaths++
          onEvent(event)
        }),
      startExternal: () => {
        throw new Error('no engine of an owner is here')
      },
      modelFiles: {
        obtain: async ({ manifest }) => ({ path: this.#paths.get(manifest.sha256) ?? '' }),
      },
      chooseThreads: () => 1,
      availableBytes: () => readMemory().availableBytes,
      gpuMemory: () => ({ state: 'none' }),
      quarantine: this.#quarantine,
      idleUnloadMs: null,
      onActivity: () => {},
      say: message => {
        this.#heard.push(message)
        this.#wake.resolve()
        this.#wake = Promise.withResolvers()
      },
      sendFrame: () => {},
    })
  }

  /** Loads the file, asks for four tokens, and lets it go again. */
  async take(bytes: Uint8Array): Promise<Outcome> {
    this.#heard.length = 0
    const load = this.#loadOf(bytes)
    const { instanceId, manifest } = load
    this.#host.order(load)
    const isReady = await this.#settled(instanceId)
    const ended = isReady ? await this.#ask(instanceId) : null
    const isGone = () => this.#states(instanceId).includes('unloaded')
    this.#host.order({ type: 'unload', instanceId })
    await this.#until(() => isGone())
    if (this.#quarantine.files.some(({ sha256 }) => sha256 === manifest.sha256))
      return 'quarantined'
    return ended ?? 'load failed'
  }

  close(): Promise<void> {
    return this.#host.close()
  }

  #loadOf(bytes: Uint8Array): Load {
    const sha256 = createHash('sha256').update(bytes).digest('hex')
    const path = join(this.#dir, 'hostile.gguf')
    writeFileSync(path, bytes)
    this.#paths.set(sha256, path)
    return {
      type: 'load',
      instanceId: newInstanceId(),
      manifest: {
        name: 'hostile',
        sha256,
        sizeBytes: bytes.length,
        architecture: 'llama',
        quantisation: null,
        contextTokensTrained: 1_024,
        chatTemplateSha256: null,
      },
      sources: [{ kind: 'path', path }],
      contextTokens: 256,
      slots: 1,
    }
  }

  /** @returns whether it is ready; it has failed else */
  async #settled(instanceId: InstanceId): Promise<boolean> {
    const last = () => this.#states(instanceId).at(-1)
    await this.#until(() => last() === 'ready' || last() === 'failed')
    return last() === 'ready'
  }

  async #ask(instanceId: InstanceId): Promise<Outcome> {
    const stream = ++this.#stream
    this.#host.order({
      type: 'assign',
      jobId: newJobId(),
      stream,
      attempt: 0,
      instanceId,
      chat: {
        messages: [{ role: 'user', content: 'Hello' }],
        tools: [],
        sampling: { temperature: 0, topP: 1, seed: 1 },
        maxTokens: 4,
        stop: [],
        renderTimeMs: 0,
      },
      continuation: null,
    })
    const end = () =>
      this.#heard.find(
        message =>
          (message.type === 'finished' || message.type === 'failed') && message.stream === stream,
      )
    await this.#until(() => end() !== undefined)
    return end()?.type === 'finished' ? 'served' : 'job failed'
  }

  #states(instanceId: InstanceId): readonly string[] {
    return this.#heard.flatMap(message =>
      message.type === 'instance' && message.instanceId === instanceId
        ? [message.status.state]
        : [],
    )
  }

  async #until(isSo: () => boolean): Promise<void> {
    while (!isSo()) await this.#wake.promise
  }
}
