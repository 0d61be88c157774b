import type { ExternalModel } from '../models/external-model.ts'
import type { Hello } from '../protocol/agent-message.ts'
import { helloProofBytes } from '../protocol/enrolment.ts'
import type { Inventory } from '../protocol/gpu.ts'
import { protocolFeatures, protocolVersionsSpoken } from '../protocol/version.ts'
import { signAsAgent } from './agent-keys.ts'
import type { Enrolment } from './state-dir.ts'
import { software } from './software.ts'

/** The first message of a connection: who this agent is, and the proof, for this nonce and this version alone. */
export function buildHello(
  { identity, privateKeyPem }: Pick<Enrolment, 'identity' | 'privateKeyPem'>,
  challenge: { readonly nonce: string; readonly version: number },
  facts: {
    readonly inventory: Inventory
    readonly instances: Hello['instances']
    /** Undefined: the owner runs no engine. */
    readonly externalModels?: readonly ExternalModel[] | undefined
  },
  sign: (privateKeyPem: string, bytes: Uint8Array) => string = signAsAgent,
): Hello {
  const { agentId, apiKey, caFingerprint, region } = identity
  const proof = helloProofBytes({ ...challenge, agentId, caFingerprint })
  return {
    type: 'hello',
    agentId,
    apiKey,
    versions: [...protocolVersionsSpoken],
    features: [...protocolFeatures],
    software,
    signature: sign(privateKeyPem, proof),
    inventory: facts.inventory,
    region,
    instances: facts.instances,
    // Losing a connection cancels its jobs, so nothing ever runs on from the one before.
    streams: [],
    ...(facts.externalModels !== undefined && { externalModels: [...facts.externalModels] }),
  }
}
