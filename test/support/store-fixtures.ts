import type { ModelShape } from '../../src/models/model-shape-schema.ts'
import type { Inventory } from '../../src/protocol/gpu.ts'
import { newAgentId, newJobId, type AgentId } from '../../src/protocol/ids.ts'
import type {
  AgentRecord,
  JoinTokenRecord,
  KeyRecord,
  ModelRecord,
  RequestRecord,
  Store,
} from '../../src/server/store/store.ts'

/** Records as the server would write them, each with only what a test cares about changed. */

export const start = Date.UTC(2026, 0, 2, 3, 4, 5, 678)
export const minuteMs = 60_000

export const hashOf = (text: string): Uint8Array =>
  new Uint8Array(new Bun.CryptoHasher('sha256').update(text).digest())

export const inventory: Inventory = {
  hostname: 'den-pc',
  os: 'linux',
  arch: 'x64',
  memoryTotalMb: 32_768,
  cpu: { name: 'Ryzen 7', physicalCores: 8, logicalCores: 16, features: ['avx2'] },
  gpus: [],
}

export const joinToken = (change: Partial<JoinTokenRecord> = {}): JoinTokenRecord => ({
  id: 'token-1',
  secretHash: hashOf('token secret'),
  usesLeft: 1,
  autoApprove: true,
  createdAt: start,
  expiresAt: start + 15 * minuteMs,
  ...change,
})

type NewAgent = Parameters<Store['enrolAgent']>[0]['agent']

export const newAgent = (change: Partial<NewAgent> = {}): NewAgent => ({
  id: newAgentId(),
  name: 'den',
  publicKey: hashOf('stands for a public key'),
  apiKeyHash: hashOf('api key'),
  capabilities: inventory,
  region: 'eu-west',
  reliability: 0.25,
  ...change,
})

export const enrolment = (
  change: Partial<Parameters<Store['enrolAgent']>[0]> = {},
): Parameters<Store['enrolAgent']>[0] => ({
  tokenId: 'token-1',
  tokenSecretHash: hashOf('token secret'),
  agent: newAgent(),
  now: start,
  ...change,
})

/** Enrols an agent through a token of its own. */
export async function enrolled(
  store: Store,
  change: Partial<NewAgent> = {},
  now = start,
): Promise<AgentRecord> {
  const agent = newAgent(change)
  const tokenId = `token of ${agent.id}`
  await store.createJoinToken(joinToken({ id: tokenId, expiresAt: now + minuteMs }))
  const outcome = await store.enrolAgent(enrolment({ tokenId, agent, now }))
  if (typeof outcome === 'string') throw new Error(outcome)
  return outcome
}

export const key = (change: Partial<KeyRecord> = {}): KeyRecord => ({
  id: 'key-1',
  name: 'laptop',
  secretHash: hashOf('key secret'),
  scopes: ['infer', 'models:read'],
  createdAt: start,
  revokedAt: null,
  ...change,
})

/** Of a model with one layer. */
export const shape: ModelShape = {
  architecture: 'llama',
  measured: true,
  contextTokensTrained: 131_072,
  embedding: 4096,
  vocabulary: 128_256,
  tiedEmbeddings: false,
  embeddingTable: { bytes: 295_501_824, relaid: true },
  experts: 0,
  windowTokens: null,
  layers: [
    {
      attention: {
        heads: 32,
        kvHeads: 8,
        keySize: 128,
        valueSize: 128,
        windowed: false,
        cached: true,
        latent: null,
      },
      state: null,
      feedForward: 14_336,
      expertFeedForward: 0,
      expertsUsed: 0,
    },
  ],
  weights: [
    {
      layer: 0,
      bytes: 4_000_000_000,
      relaidBytes: 0,
      start: 0,
      end: 4_000_000_000,
      keptStart: 0,
      keptEnd: 4_000_000_000,
      matrixBytes: 47_710_208,
      expertsBytes: 0,
    },
  ],
}

export const model = (name: string, change: Partial<ModelRecord> = {}): ModelRecord => ({
  manifest: {
    name,
    sha256: 'ab'.repeat(32),
    sizeBytes: 5_000_000_000,
    architecture: 'llama',
    quantisation: 'Q4_K_M',
    contextTokensTrained: 131_072,
    chatTemplateSha256: null,
  },
  source: { kind: 'url', url: 'https://models.example/a.gguf' },
  contextTokens: 8_192,
  slots: 4,
  pinned: false,
  idleUnloadMs: null,
  addedAt: start,
  ...change,
})

export const request = (change: Partial<RequestRecord> = {}): RequestRecord => ({
  jobId: newJobId(),
  keyId: 'key-1',
  model: 'llama-3.1-8b-q4',
  agentId: null,
  outcome: 'completed',
  finishReason: 'stop',
  errorCode: null,
  promptTokens: 12,
  completionTokens: 30,
  attempts: 1,
  receivedAt: start,
  firstTokenAt: start + 200,
  endedAt: start + 900,
  ...change,
})

export const historyEvent = (agentId: AgentId, at: number, metadata = {}) =>
  ({ agentId, type: 'completed_request', at, metadata }) as const

/** Not `expect(…).rejects`: it blocks for good on an answer of a worker thread (Bun 1.4.5, oven-sh/bun#37189). */
export const rejects = (work: Promise<unknown>): Promise<boolean> =>
  work.then(
    () => false,
    () => true,
  )
