import type { Clock } from '../../clock.ts'
import type { EnrolRequest, EnrolResponse } from '../../protocol/enrolment.ts'
import type { Failure } from '../../protocol/errors.ts'
import { newAgentId } from '../../protocol/ids.ts'
import { formatJoinLink } from '../../protocol/join-link.ts'
import { reliabilityAtStart } from '../../scheduler/reliability.ts'
import { createCredential, parseCredential, sha256 } from '../auth/credential.ts'
import type { RegistryWriter } from '../pool/registry-writer.ts'
import type { Store } from '../store/store.ts'
import { registrationNotes } from './registration-notes.ts'

const publicKeyBytes = 32

export type JoinLinkDeps = { readonly clock: Clock; readonly store: Store }
export type EnrolDeps = JoinLinkDeps & { readonly registry: RegistryWriter }

/** Makes a join token. @returns the link to give to a contributor; the secret in it is not kept */
export async function createJoinLink(
  { clock, store }: JoinLinkDeps,
  where: { readonly origin: string; readonly caFingerprint: string },
  options: { readonly uses: number; readonly ttlMs: number; readonly autoApprove: boolean },
): Promise<string> {
  const { id, text, secretHash } = createCredential('enr')
  const createdAt = clock.now()
  await store.createJoinToken({
    id,
    secretHash,
    usesLeft: options.uses,
    autoApprove: options.autoApprove,
    createdAt,
    expiresAt: createdAt + options.ttlMs,
  })
  return formatJoinLink({ ...where, token: text })
}

/** Takes a machine in: uses the token up, keeps the public key, and hands out the API key, this once. */
export async function enrol(
  { clock, store, registry }: EnrolDeps,
  request: EnrolRequest,
  controlPort: number,
): Promise<EnrolResponse | Failure> {
  const token = parseCredential('enr', request.token)
  if (token === undefined) return refusals.token_unknown
  const publicKey = Buffer.from(request.publicKey, 'base64')
  if (publicKey.length !== publicKeyBytes)
    return { code: 'invalid_request', message: 'publicKey must be 32 bytes in base64' }
  const apiKey = createCredential('agt')
  const outcome = await store.enrolAgent({
    tokenId: token.id,
    tokenSecretHash: token.secretHash,
    agent: {
      id: newAgentId(),
      name: request.name,
      publicKey: new Uint8Array(publicKey),
      apiKeyHash: sha256(apiKey.text),
      capabilities: request.inventory,
      region: request.region,
      reliability: reliabilityAtStart,
    },
    now: clock.now(),
  })
  if (typeof outcome === 'string') return refusals[outcome]
  const { id: agentId, adminState, name, enrolledAt: at } = outcome
  const notes = registrationNotes(request.inventory, at)
  registry.history({ agentId, type: 'registered', at, metadata: { name, adminState, notes } })
  return {
    agentId,
    apiKey: apiKey.text,
    controlPort,
    adminState: adminState === 'active' ? 'active' : 'pending',
    notes,
  }
}

const refusals = {
  token_unknown: { code: 'unauthorized', message: 'this join link is not one of this pool' },
  token_expired: { code: 'unauthorized', message: 'this join link has expired; ask for a new one' },
  token_used_up: {
    code: 'unauthorized',
    message: 'this join link was used already; ask for a new one',
  },
} as const satisfies Record<string, Failure>
