import type { ModelFacts, SchedulerEvent } from '../../src/scheduler/event.ts'
import type { PromptPrefix } from '../../src/scheduler/prefix-affinity.ts'
import type { AgentId, InstanceId } from '../../src/protocol/ids.ts'
import type { Inventory } from '../../src/protocol/gpu.ts'

/** What people have at home, by the card's name and its memory. */
const cards = [
  ['NVIDIA GeForce RTX 3060', 12_288],
  ['NVIDIA GeForce RTX 4060', 8_188],
  ['NVIDIA GeForce RTX 3090', 24_576],
  ['NVIDIA GeForce RTX 4090', 24_564],
  ['NVIDIA GeForce RTX 2070', 8_192],
] as const

export const slotsPerInstance = 4
const heldPerAgent = 3

/** So many models of 1 to 6 GB. */
export const modelsOf = (count: number): readonly ModelFacts[] =>
  Array.from({ length: count }, (_, at) => ({
    name: `model-${at}`,
    sha256: at.toString(16).padStart(64, '0'),
    sizeBytes: (1 + (at % 6)) * 1e9,
    shape: null,
    contextTokens: 8_192,
    slots: slotsPerInstance,
  }))

/** Agents of mixed machines, reliability and latency, each with three of the models in memory. */
export function* fleetEvents(
  models: readonly ModelFacts[],
  agents: number,
  random: () => number,
): Generator<SchedulerEvent> {
  yield { type: 'catalogue', models }
  for (let at = 0; at < agents; at++) {
    const agentId = uuid(at, 1) as AgentId
    const [name, vramTotalMb] = cards[Math.floor(random() * cards.length)] ?? cards[0]
    const first = Math.floor(random() * models.length)
    const held = Array.from(
      { length: heldPerAgent },
      (_, i) => models[(first + i * 67) % models.length],
    )
    yield {
      type: 'agent_up',
      agentId,
      adminState: 'active',
      reliability: 0.3 + 0.7 * random(),
      health: null,
      inventory: inventoryOf(name, vramTotalMb),
      features: ['sampling'],
      instances: held.flatMap((model, i) => {
        if (model === undefined) return []
        const { contextTokens, slots } = model
        const instanceId = uuid(at * heldPerAgent + i, 2) as InstanceId
        const status = { state: 'ready', contextTokens, slots, loadMs: 1 } as const
        return [{ instanceId, modelSha256: model.sha256, status }]
      }),
    }
    yield { type: 'heartbeat', agentId, draining: false, latencyMs: 1 + Math.floor(random() * 150) }
  }
}

/** Like the real ones in length, since comparing and hashing them is part of a decision. */
export const uuid = (number: number, kind: number): string =>
  `${number.toString(16).padStart(8, '0')}-0000-4000-800${kind}-${(number * 2_654_435_761).toString(16).padStart(12, '0').slice(-12)}`

const inventoryOf = (name: string, vramTotalMb: number): Inventory => ({
  hostname: 'bench',
  os: 'linux',
  arch: 'x64',
  memoryTotalMb: 32_000,
  cpu: { name: 'bench', physicalCores: 8, logicalCores: 16, features: [] },
  gpus: [
    {
      id: 'GPU-1',
      vendor: 'nvidia',
      kind: 'discrete',
      name,
      vramTotalMb,
      driverVersion: '570.124.06',
      computeCapability: '8.9',
      pciBusId: null,
      source: 'nvml',
    },
  ],
})

/** A conversation, and how far it has come. */
export type Conversation = { readonly model: string; readonly id: number; turns: number }

/** The starts of its next prompt: the common one of its tenant, then two messages a turn; some 300 tokens each. */
export function nextTurn(conversation: Conversation, tenants: number): readonly PromptPrefix[] {
  const count = Math.min(16, 2 + 2 * conversation.turns++)
  const { id } = conversation
  return Array.from({ length: count }, (_, at) => ({
    hash: at === 0 ? hashOf(id % tenants, 0) : hashOf(id, at),
    tokens: 300 * (at + 1),
  }))
}

/** Spread over 52 bits, as a hash is. */
const hashOf = (id: number, at: number): number =>
  (Math.imul(id + 1, 0x9e3779b1) >>> 0) * 2 ** 20 +
  ((Math.imul(id ^ (at << 7), 0x85ebca6b) >>> 0) & 0xfffff)
