import type { Timers } from '../src/agent/timers.ts'
import { encodeAgentMessage } from '../src/protocol/codec.ts'
import type { InstanceId } from '../src/protocol/ids.ts'
import { frameTypeToken } from '../src/protocol/token-frame.ts'
import type { Lies } from './agent-plan.ts'
import type { Random } from './random.ts'

type Said = string | Uint8Array<ArrayBuffer>

/** Frames it remembers, to say them again when nobody wants them any more. */
const rememberedMax = 8
const instancesMax = 64

/**
 * What stands between an agent and its network when the agent is a liar: it repeats, leaves out and invents. Every lie is
 * one that the server can notice. (Nobody can notice another text than the model would have made; and a frame of text
 * without a token is text like any other, so it is neither repeated nor left out.)
 */
export class Liar {
  readonly #random: Random
  readonly #lies: Lies
  readonly #timers: Timers
  #remembered: Uint8Array<ArrayBuffer>[] = []

  constructor(random: Random, lies: Lies, timers: Timers) {
    this.#random = random
    this.#lies = lies
    this.#timers = timers
  }

  send(data: Said, send: (data: Said) => void): void {
    if (typeof data === 'string') this.#sendText(data, send)
    else this.#sendBytes(data, send)
    const { babbles, inventsInstance } = this.#lies
    if (this.#random.chance(babbles)) send(this.#babble())
    if (this.#random.chance(inventsInstance)) send(this.#invent())
  }

  #sendText(text: string, send: (data: Said) => void): void {
    const isMiscounted =
      text.startsWith('{"type":"finished"') && this.#random.chance(this.#lies.miscounts)
    send(isMiscounted ? text.replace(/"tokens":\d+/, `"tokens":${this.#random.whole(0, 9)}`) : text)
  }

  #sendBytes(bytes: Uint8Array<ArrayBuffer>, send: (data: Said) => void): void {
    const { repeatsFrame, dropsFrame } = this.#lies
    if (!isToken(bytes)) {
      send(bytes)
      return
    }
    if (this.#random.chance(dropsFrame)) return
    send(bytes)
    if (!this.#random.chance(repeatsFrame)) return
    this.#remembered = [...this.#remembered, bytes].slice(-rememberedMax)
    for (const frame of this.#remembered)
      if (this.#random.chance(0.5)) send(frame)
      else this.#timers.after(this.#random.skewed(1, 60_000), () => send(frame))
  }

  #babble(): Said {
    if (this.#random.chance(0.5)) return '{"type":"gossip"}'
    return Uint8Array.from({ length: this.#random.whole(0, 30) }, () => this.#random.whole(0, 255))
  }

  #invent(): string {
    const instanceId = this.#random.uuid() as InstanceId
    const modelSha256 = this.#random.pick(['a', 'b', 'c']).repeat(instancesMax)
    const status = this.#random.chance(0.5)
      ? ({
          state: 'ready',
          contextTokens: 4_096,
          slots: this.#random.whole(1, 256),
          loadMs: 1,
        } as const)
      : ({ state: 'loading', progress: null } as const)
    return encodeAgentMessage({ type: 'instance', instanceId, modelSha256, status })
  }
}

/** A single frame with a token's id. */
const isToken = (bytes: Uint8Array): boolean =>
  bytes[0] === frameTypeToken && ((bytes[1] ?? 0) & 1) === 1
