import { Type, type Static } from 'typebox'
import { InventorySchema } from './gpu.ts'
import { AgentIdSchema, type AgentId } from './ids.ts'

/** So that an answer stays far below what an agent reads of it. */
export const enrolmentLimits = { notesMax: 16, noteCharactersMax: 1_000 } as const

/** Body of `POST /enrol` on the enrolment listener. */
export const EnrolRequestSchema = Type.Object({
  token: Type.String({ maxLength: 200 }),
  /** Base64 of the agent's raw Ed25519 public key (32 bytes); the private key never leaves the machine. */
  publicKey: Type.String({ maxLength: 64 }),
  /** How its owner calls the machine. */
  name: Type.String({ minLength: 1, maxLength: 128 }),
  region: Type.Union([Type.String({ maxLength: 64 }), Type.Null()]),
  inventory: InventorySchema,
})
export type EnrolRequest = Static<typeof EnrolRequestSchema>

/** Answer to `POST /enrol`; the API key is shown this once. */
export const EnrolResponseSchema = Type.Object({
  agentId: AgentIdSchema,
  apiKey: Type.String({ maxLength: 256 }),
  /** Port of the control listener (`wss://HOST:PORT/agent`), on the host that the join link names. */
  controlPort: Type.Integer({ minimum: 1, maximum: 65_535 }),
  adminState: Type.Union([Type.Literal('pending'), Type.Literal('active')]),
  /** What the machine's owner should know, for example that a driver is on the list of bad ones; servers before had none. */
  notes: Type.Optional(
    Type.Array(Type.String({ maxLength: enrolmentLimits.noteCharactersMax }), {
      maxItems: enrolmentLimits.notesMax,
    }),
  ),
})
export type EnrolResponse = Static<typeof EnrolResponseSchema>

/**
 * The bytes that an agent signs on every connection. They bind the signature to this server (by its CA), this
 * connection (by the nonce), this agent and this protocol version, so that none of it can be replayed elsewhere.
 */
export function helloProofBytes(proof: {
  nonce: string
  agentId: AgentId
  caFingerprint: string
  version: number
}): Uint8Array<ArrayBuffer> {
  const text = `gpupool-hello-v1\n${proof.nonce}\n${proof.agentId}\n${proof.caFingerprint}\n${proof.version}`
  return new TextEncoder().encode(text)
}
