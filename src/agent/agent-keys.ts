import { createPrivateKey, createPublicKey, generateKeyPairSync, sign } from 'node:crypto'

/** @returns a fresh Ed25519 private key as PEM (PKCS #8); it never leaves the machine */
export const generateAgentKey = (): string =>
  generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()

/** Base64 of the raw public key (32 bytes) that belongs to a private key, as enrolment wants it. */
export function agentPublicKey(privateKeyPem: string): string {
  const { x } = createPublicKey(privateKeyPem).export({ format: 'jwk' })
  if (x === undefined) throw new Error('the agent key is not an Ed25519 key')
  return Buffer.from(x, 'base64url').toString('base64')
}

/** @returns the base64 Ed25519 signature over the bytes */
export const signAsAgent = (privateKeyPem: string, bytes: Uint8Array): string =>
  sign(null, bytes, createPrivateKey(privateKeyPem)).toString('base64')
