import { createHmac } from 'node:crypto'

/** @returns the opaque name of a caller for agents, which must not learn key ids */
export type TenantTag = (keyId: string) => string

const tagChars = 32

/** @param secret may be new at every start of the server: prompts that agents have kept are then computed once again */
export const createTenantTag =
  (secret: Uint8Array): TenantTag =>
  keyId =>
    createHmac('sha256', secret).update(keyId).digest('base64url').slice(0, tagChars)
