import { expect, test } from 'bun:test'
import { createPublicKey, verify } from 'node:crypto'
import { decodeFromAgent, encodeAgentMessage } from '../protocol/codec.ts'
import { helloProofBytes } from '../protocol/enrolment.ts'
import { newAgentId } from '../protocol/ids.ts'
import { generateAgentKey } from './agent-keys.ts'
import { buildHello } from './hello.ts'

const identity = {
  agentId: newAgentId(),
  origin: 'https://pool.example.org:8444',
  controlPort: 8443,
  caFingerprint: 'f'.repeat(43),
  apiKey: 'gpt_agt_key',
  name: 'desk',
  region: 'eu',
}
const inventory = {
  hostname: 'desk',
  os: 'linux',
  arch: 'x64',
  memoryTotalMb: 16_000,
  cpu: { name: 'cpu', physicalCores: 2, logicalCores: 2, features: [] },
  gpus: [],
}

test('hello passes the protocol and its signature holds for this nonce, version, agent and pool alone', () => {
  const privateKeyPem = generateAgentKey()
  const challenge = { nonce: 'bm9uY2U=', version: 1 }
  const hello = buildHello({ identity, privateKeyPem }, challenge, { inventory, instances: [] })
  expect(decodeFromAgent(encodeAgentMessage(hello))).toEqual(hello)
  const { agentId, caFingerprint } = identity
  const holdsFor = (change: Partial<Parameters<typeof helloProofBytes>[0]>) =>
    verify(
      null,
      helloProofBytes({ ...challenge, agentId, caFingerprint, ...change }),
      createPublicKey(privateKeyPem),
      Buffer.from(hello.signature, 'base64'),
    )
  expect(holdsFor({})).toBe(true)
  expect(holdsFor({ nonce: 'b3RoZXI=' })).toBe(false)
  expect(holdsFor({ version: 2 })).toBe(false)
  expect(holdsFor({ agentId: newAgentId() })).toBe(false)
  expect(holdsFor({ caFingerprint: 'g'.repeat(43) })).toBe(false)
})
