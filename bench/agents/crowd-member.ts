import { buildHeartbeat } from '../../src/agent/heartbeat.ts'
import { buildHello } from '../../src/agent/hello.ts'
import type { Enrolment } from '../../src/agent/state-dir.ts'
import { decodeFromServer, encodeAgentMessage } from '../../src/protocol/codec.ts'
import type { GpuReading, Inventory } from '../../src/protocol/gpu.ts'
import type { ServerMessage } from '../../src/protocol/server-message.ts'
import { negotiateVersion, protocolVersionsSpoken } from '../../src/protocol/version.ts'
import type { CrowdTarget } from './crowd-order.ts'

/** One connection with the real handshake and real heartbeats, and no more of an agent than that. */
export class CrowdMember {
  acknowledged = 0
  readonly #enrolment: Enrolment
  readonly #inventory: Inventory
  readonly #online = Promise.withResolvers<void>()
  readonly #closed = Promise.withResolvers<void>()
  #socket: WebSocket | null = null
  #sequence = 0

  constructor(enrolment: Enrolment, inventory: Inventory) {
    this.#enrolment = enrolment
    this.#inventory = inventory
  }

  /** Resolves when the server has taken this member in; rejects when it does not. */
  async connect(target: CrowdTarget): Promise<void> {
    const isPool = target.kind === 'pool'
    const port = isPool ? target.controlPort : target.port
    const ca = isPool ? this.#enrolment.caPem : target.caPem
    const socket = new WebSocket(`wss://127.0.0.1:${port}/agent`, {
      tls: { ca },
      perMessageDeflate: false,
    })
    this.#socket = socket
    socket.addEventListener('message', ({ data }: MessageEvent<string>) => this.#read(data))
    socket.addEventListener('open', () => {
      if (!isPool) this.#isOnline()
    })
    socket.addEventListener('close', ({ code, reason }) => {
      this.#online.reject(new Error(`the connection was closed: ${code} ${reason}`))
      this.#closed.resolve()
    })
    await this.#online.promise
  }

  beat(): void {
    const readings: GpuReading[] = this.#inventory.gpus.map(({ id, vramTotalMb }) => ({
      id,
      temperature_c: 54,
      vram_used_mb: 8_120,
      vram_total_mb: vramTotalMb,
      utilization_pct: 71,
      power_w: 148,
    }))
    const heartbeat = buildHeartbeat({
      agentId: this.#enrolment.identity.agentId,
      sequence: ++this.#sequence,
      networkLatencyMs: 12,
      draining: false,
      held: [],
      readings,
      heat: 'normal',
    })
    this.#socket?.send(encodeAgentMessage(heartbeat))
  }

  async close(): Promise<void> {
    this.#socket?.close()
    await this.#closed.promise
  }

  #isOnline(): void {
    this.beat()
    this.#online.resolve()
  }

  #read(text: string): void {
    const message = decodeFromServer(text)
    if (message.type === 'heartbeat_ack') this.acknowledged++
    else if (message.type === 'welcome') this.#isOnline()
    else if (message.type === 'challenge') this.#introduce(message)
  }

  #introduce({ nonce, versions }: Extract<ServerMessage, { type: 'challenge' }>): void {
    const version = negotiateVersion(protocolVersionsSpoken, versions)
    if (version === undefined) throw new Error('no protocol version in common')
    const facts = { inventory: this.#inventory, instances: [] }
    const hello = buildHello(this.#enrolment, { nonce, version }, facts)
    this.#socket?.send(encodeAgentMessage(hello))
  }
}
