import { newJobId, type InstanceId } from '../protocol/ids.ts'
import type { Assign, Load } from '../protocol/server-message.ts'
import type { Order } from './connection-event.ts'
import type { EngineWord, InstanceCommand, InstanceEvent } from './instance-event.ts'
import { Instances } from './instances.ts'
import type { Room } from './room.ts'

/** Instances that a test drives by hand. */

export const gib = 1024 ** 3
export const plenty = 64 * gib

export const loadOf = (instanceId: InstanceId, sha = 'a', sizeBytes = gib): Load => ({
  type: 'load',
  instanceId,
  manifest: {
    name: `model-${sha}`,
    sha256: sha.repeat(64),
    sizeBytes,
    architecture: 'llama',
    quantisation: null,
    contextTokensTrained: 512,
    chatTemplateSha256: null,
  },
  sources: [{ kind: 'path', path: '/m.gguf' }],
  contextTokens: 256,
  slots: 2,
})

export const assignOf = (instanceId: InstanceId, stream: number, attempt = 0): Assign => ({
  type: 'assign',
  jobId: newJobId(),
  stream,
  attempt,
  instanceId,
  chat: {
    messages: [{ role: 'user', content: 'hi' }],
    tools: [],
    sampling: { temperature: 0, topP: 1, seed: 1 },
    maxTokens: 8,
    stop: [],
    renderTimeMs: 0,
  },
  continuation: null,
})

/** Memory on a machine without GPU. */
export const roomOf = (availableBytes: number, neededBytes: number): Room => {
  const need = { mainBytes: neededBytes, gpuBytes: 0 }
  return { need, needNow: need, availableBytes, gpuFreeBytes: null }
}

export class Bench {
  readonly instances = new Instances()
  now = 1_000_000

  handle(event: InstanceEvent): readonly InstanceCommand[] {
    return this.instances.handle(event, this.now)
  }
  order(order: Order, availableBytes = plenty): readonly InstanceCommand[] {
    return this.handle({ type: 'order', order, availableBytes })
  }
  word(engine: number, word: EngineWord): readonly InstanceCommand[] {
    return this.handle({ type: 'engine', engine, word })
  }
  fileReady(
    instanceId: InstanceId,
    availableBytes = plenty,
    neededBytes = gib,
  ): readonly InstanceCommand[] {
    const room = roomOf(availableBytes, neededBytes)
    return this.handle({ type: 'file_ready', instanceId, path: '/m.gguf', room })
  }
  /** Answers a look at the memory. */
  look(instanceId: InstanceId, look: number, room: Room): readonly InstanceCommand[] {
    return this.handle({ type: 'room', instanceId, look, room })
  }
  /** Brings an instance to `ready`. @returns its engine */
  ready(instanceId: InstanceId, sha = 'a'): number {
    this.order(loadOf(instanceId, sha))
    const engine = startedEngine(this.fileReady(instanceId))
    this.word(engine, ready)
    return engine
  }
}

export const ready: EngineWord = { type: 'ready', contextTokens: 256, slots: 2, loadMs: 40 }
export const died: EngineWord = {
  type: 'died',
  error: { code: 'worker_died', message: 'the worker is gone' },
  exit: 'SIGSEGV',
}

export function startedEngine(commands: readonly InstanceCommand[]): number {
  const start = commands.find(command => command.type === 'start_engine')
  if (start?.type !== 'start_engine') throw new Error('no engine was started')
  return start.engine
}

/** Commands in short: what is said, with the part that matters, and the other types. */
export const brief = (commands: readonly InstanceCommand[]): string[] =>
  commands
    .filter(command => command.type !== 'log')
    .map(command => {
      if (command.type === 'run_job') return `run ${command.job.stream}`
      if (command.type === 'cancel_job') return `cancel ${command.stream}`
      if (command.type !== 'say') return command.type
      const { message } = command
      if (message.type === 'instance') return `instance ${message.status.state}`
      if (message.type === 'failed') return `failed ${message.stream} ${message.error.code}`
      return message.type
    })
