import type { AgentId } from '../src/protocol/ids.ts'
import type { Inventory } from '../src/protocol/gpu.ts'
import { reliabilityAtStart } from '../src/scheduler/reliability.ts'
import type { ModelRecord } from '../src/server/store/store.ts'
import { honest, type AgentPlan, type Lies } from './agent-plan.ts'
import type { Random } from './random.ts'
import type { Tables } from './tables.ts'
import { worldBegins, type World } from './world.ts'

const noSecret = new Uint8Array(32)
const megabyte = 1024 ** 2

/** How a world is at its beginning is drawn from its seed: never two alike. */
export function drawModels({ random }: World, count: number): readonly ModelRecord[] {
  return Array.from({ length: count }, (_, index) => ({
    manifest: {
      name: `model-${index}`,
      sha256: 'abc'.charAt(index).repeat(64),
      sizeBytes: random.whole(500, 8_000) * megabyte,
      architecture: 'llama',
      quantisation: null,
      contextTokensTrained: 4_096,
      chatTemplateSha256: null,
    },
    source: { kind: 'url', url: 'https://models.example/a.gguf' },
    contextTokens: 2_048,
    slots: random.whole(1, 4),
    pinned: false,
    idleUnloadMs: null,
    addedAt: worldBegins,
  }))
}

/** Enrols an agent. */
export function drawAgent({ random }: World, tables: Tables, number: number): AgentPlan {
  const agentId = random.uuid() as AgentId
  const name = `agent-${number}`
  const inventory = drawInventory(random, name, number === 0)
  const tokenId = `token of ${name}`
  const tokenSecretHash = noSecret
  const times = { createdAt: worldBegins, expiresAt: worldBegins + 1 }
  const token = { id: tokenId, secretHash: noSecret, usesLeft: 1, autoApprove: true, ...times }
  tables.createJoinToken(token)
  tables.enrolAgent({
    tokenId,
    tokenSecretHash,
    agent: {
      id: agentId,
      name,
      publicKey: noSecret,
      apiKeyHash: noSecret,
      capabilities: inventory,
      region: null,
      reliability: reliabilityAtStart,
    },
    now: worldBegins,
  })
  const identity = {
    agentId,
    origin: 'https://pool.example',
    controlPort: 8443,
    caFingerprint: 'A',
    apiKey: 'key',
    name,
    region: null,
  }
  const minMs = random.skewed(0.1, 80)
  return {
    name,
    enrolment: { identity, privateKeyPem: '' },
    inventory,
    memoryMb: inventory.memoryTotalMb,
    latency: { minMs, maxMs: minMs * random.skewed(1, 30) },
    isCutOff: false,
    temperatureC: 60,
    idleUnloadMs: random.skewed(60_000, 1_800_000),
    files: new Set(),
    quarantined: [],
    fetchMs: random.skewed(50, 30_000),
    fetchFails: 0,
    manner: {
      loadMs: random.skewed(100, 20_000),
      tokenMs: random.spread(5, 500),
      slowness: 1,
      burstTokens: random.whole(1, 4),
      slotsClaimed: null,
      loadFails: 0,
      loadDies: 0,
      stepDies: 0,
      stepFails: 0,
      stepHangs: 0,
    },
    lies: honest(),
  }
}

/** @param isLarge whether every model must fit: one such machine is in every pool */
function drawInventory(random: Random, hostname: string, isLarge: boolean): Inventory {
  const gpu = {
    id: `GPU of ${hostname}`,
    vendor: 'nvidia',
    kind: 'discrete',
    name: 'NVIDIA L4',
    vramTotalMb: random.pick([4_096, 8_192, 24_576]),
    driverVersion: '570.124.06',
    computeCapability: '8.9',
    pciBusId: null,
    source: 'nvml',
  } as const
  return {
    hostname,
    os: 'linux',
    arch: 'x64',
    memoryTotalMb: isLarge ? 65_536 : random.pick([4_096, 16_384, 65_536]),
    cpu: { name: 'a processor', physicalCores: 4, logicalCores: 8, features: [] },
    gpus: random.chance(0.5) ? [gpu] : [],
  }
}

export function drawLies({ random }: World): Lies {
  const often = () => (random.chance(0.5) ? random.skewed(0.001, 0.2) : 0)
  return {
    repeatsFrame: often(),
    dropsFrame: often() / 4,
    miscounts: often(),
    inventsInstance: often() / 10,
    babbles: often() / 20,
  }
}
