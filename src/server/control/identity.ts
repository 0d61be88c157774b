import { createPublicKey, timingSafeEqual, verify } from 'node:crypto'
import type { Hello } from '../../protocol/agent-message.ts'
import { helloProofBytes } from '../../protocol/enrolment.ts'
import type { Failure } from '../../protocol/errors.ts'
import { sha256 } from '../auth/credential.ts'
import type { AgentRecord, Store } from '../store/store.ts'

export type Proof = {
  readonly hello: Hello
  readonly nonce: string
  readonly version: number
  readonly caFingerprint: string
}

/**
 * Checks who is talking: the agent must be enrolled, know its API key, and have signed this connection's nonce with
 * the private key that it enrolled with. The three failures are told apart in the log only.
 */
export async function checkIdentity(store: Store, proof: Proof): Promise<AgentRecord | Failure> {
  const { hello } = proof
  const agent = await store.getAgent(hello.agentId)
  if (agent === undefined) return stranger
  if (!timingSafeEqual(agent.apiKeyHash, sha256(hello.apiKey))) return stranger
  const signed = helloProofBytes({
    nonce: proof.nonce,
    agentId: hello.agentId,
    caFingerprint: proof.caFingerprint,
    version: proof.version,
  })
  const signature = Buffer.from(hello.signature, 'base64')
  return verify(null, signed, ed25519Key(agent.publicKey), signature) ? agent : stranger
}

/** The fixed DER header of an Ed25519 SubjectPublicKeyInfo (RFC 8410), before the 32 bytes of the key. */
const ed25519SpkiHeader = Buffer.from('302a300506032b6570032100', 'hex')

const ed25519Key = (raw: Uint8Array) =>
  createPublicKey({
    key: Buffer.concat([ed25519SpkiHeader, raw]),
    format: 'der',
    type: 'spki',
  })

const stranger: Failure = {
  code: 'unauthorized',
  message: 'this pool does not know the agent; join again with a new link',
}
