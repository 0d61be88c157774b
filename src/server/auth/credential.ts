import { createHash } from 'node:crypto'

/** What a secret is for; the prefix tells a person, and a secret scanner, what they have found. */
const prefixes = { key: 'gpk', agt: 'gpa', enr: 'gpe' } as const
export type CredentialKind = keyof typeof prefixes

const idLength = 8
const secretBytes = 32
const secretLength = 43
const checksumLength = 6
const idAlphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

export type Credential = {
  /** Public part: names the row, may be logged. */
  readonly id: string
  /** What the holder gets, shown once. */
  readonly text: string
  /** SHA-256 of `text`; enough for a secret of 256 random bits. */
  readonly secretHash: Uint8Array
}

/**
 * Makes a new secret: `gpk_<id>_<256 random bits><checksum>`. The checksum (CRC-32 of what precedes it) lets garbage
 * be refused without a look into the database.
 */
export function createCredential(kind: CredentialKind): Credential {
  let id = ''
  while (id.length < idLength)
    for (const byte of crypto.getRandomValues(new Uint8Array(idLength * 2)))
      if (id.length < idLength && byte < idAlphabet.length * 4)
        id += idAlphabet[byte % idAlphabet.length]
  const secret = Buffer.from(crypto.getRandomValues(new Uint8Array(secretBytes)))
  const body = `${prefixes[kind]}_${id}_${secret.toString('base64url')}`
  const text = body + checksum(body)
  return { id, text, secretHash: sha256(text) }
}

/** @returns the parts, or undefined for anything that this pool cannot have made */
export function parseCredential(
  kind: CredentialKind,
  text: string,
): Pick<Credential, 'id' | 'secretHash'> | undefined {
  const prefix = `${prefixes[kind]}_`
  const length = prefix.length + idLength + 1 + secretLength + checksumLength
  if (text.length !== length || !text.startsWith(prefix)) return undefined
  const body = text.slice(0, -checksumLength)
  if (checksum(body) !== text.slice(-checksumLength)) return undefined
  return { id: body.slice(prefix.length, prefix.length + idLength), secretHash: sha256(text) }
}

export const sha256 = (text: string): Uint8Array =>
  new Uint8Array(createHash('sha256').update(text).digest())

const checksum = (body: string): string => {
  const crc = Bun.hash.crc32(body)
  let text = ''
  for (let rest = crc, i = 0; i < checksumLength; i++, rest = Math.floor(rest / idAlphabet.length))
    text += idAlphabet[rest % idAlphabet.length]
  return text
}
