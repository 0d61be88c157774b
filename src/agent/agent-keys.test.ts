import { expect, test } from 'bun:test'
import { createPublicKey, verify } from 'node:crypto'
import { agentPublicKey, generateAgentKey, signAsAgent } from './agent-keys.ts'

test('what an agent signs verifies under the raw public key that it enrolled, and under no other', () => {
  const key = generateAgentKey()
  const bytes = new TextEncoder().encode('proof')
  const signature = Buffer.from(signAsAgent(key, bytes), 'base64')
  const verifies = (publicKey: string) =>
    verify(
      null,
      bytes,
      createPublicKey({
        key: {
          kty: 'OKP',
          crv: 'Ed25519',
          x: Buffer.from(publicKey, 'base64').toString('base64url'),
        },
        format: 'jwk',
      }),
      signature,
    )
  expect(Buffer.from(agentPublicKey(key), 'base64')).toHaveLength(32)
  expect(verifies(agentPublicKey(key))).toBe(true)
  expect(verifies(agentPublicKey(generateAgentKey()))).toBe(false)
})
