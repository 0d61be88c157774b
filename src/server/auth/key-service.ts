import { timingSafeEqual } from 'node:crypto'
import type { Clock } from '../../clock.ts'
import type { Failure } from '../../protocol/errors.ts'
import type { KeyRecord, Scope, Store } from '../store/store.ts'
import { adminKeyId } from './admin-key.ts'
import { createCredential, parseCredential, sha256 } from './credential.ts'

/** Who is asking. */
export type Caller = { readonly keyId: string; readonly scopes: readonly Scope[] }

export const scopes: readonly Scope[] = ['infer', 'infer:priority', 'models:read', 'admin']
export const isScope = (text: string): text is Scope => scopes.some(scope => scope === text)

/** Keys held in memory; the one that came first leaves when there are more. */
const cachedKeysMax = 10_000

/**
 * Tells who is behind a key. A key in use costs one hash and no query; a revoked one is refused from the moment
 * `revoke` resolves.
 */
export class KeyService {
  readonly #store: Store
  readonly #clock: Clock
  readonly #adminHash: Uint8Array
  readonly #cache = new Map<string, KeyRecord>()
  /** Counts revocations, so that a read that began before one is not cached after it. */
  #revocations = 0

  constructor(deps: { store: Store; clock: Clock; adminKey: string }) {
    this.#store = deps.store
    this.#clock = deps.clock
    this.#adminHash = sha256(deps.adminKey)
  }

  /** @returns the caller, or `unauthorized` */
  async authenticate(headers: Headers): Promise<Caller | Failure> {
    const text = presentedKey(headers)
    if (text === null) return missingKey
    if (timingSafeEqual(sha256(text), this.#adminHash)) return adminCaller
    const parsed = parseCredential('key', text)
    if (parsed === undefined) return wrongKey
    const record = this.#cache.get(parsed.id) ?? (await this.#read(parsed.id))
    if (record === undefined || record.revokedAt !== null) return wrongKey
    if (!sameBytes(parsed.secretHash, record.secretHash)) return wrongKey
    return { keyId: record.id, scopes: record.scopes }
  }

  /** @returns the key's text, which exists nowhere else afterwards */
  async create(input: {
    name: string
    scopes: readonly Scope[]
  }): Promise<{ readonly record: KeyRecord; readonly key: string }> {
    const { id, text, secretHash } = createCredential('key')
    const record: KeyRecord = {
      id,
      name: input.name,
      secretHash,
      scopes: [...new Set(input.scopes)],
      createdAt: this.#clock.now(),
      revokedAt: null,
    }
    await this.#store.createKey(record)
    return { record, key: text }
  }

  list(): Promise<readonly KeyRecord[]> {
    return this.#store.listKeys()
  }

  /** @returns false when there is no such key or it was revoked before */
  async revoke(id: string): Promise<boolean> {
    const revoked = await this.#store.revokeKey(id, this.#clock.now())
    this.#revocations++
    this.#cache.delete(id)
    return revoked
  }

  async #read(id: string): Promise<KeyRecord | undefined> {
    const revocationsBefore = this.#revocations
    const record = await this.#store.getKey(id)
    // Only live keys are held: what is unknown or revoked costs its sender a query, not us memory.
    if (record?.revokedAt !== null || revocationsBefore !== this.#revocations) return record
    if (this.#cache.size >= cachedKeysMax) {
      const oldest = this.#cache.keys().next()
      if (!oldest.done) this.#cache.delete(oldest.value)
    }
    this.#cache.set(id, record)
    return record
  }
}

/** `Authorization: Bearer KEY` or `x-api-key: KEY`. */
function presentedKey(headers: Headers): string | null {
  const bearer = /^Bearer +(\S+) *$/i.exec(headers.get('authorization') ?? '')?.[1]
  return bearer ?? headers.get('x-api-key')
}

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && timingSafeEqual(a, b)

const adminCaller: Caller = { keyId: adminKeyId, scopes }

const missingKey: Failure = {
  code: 'unauthorized',
  message: "No API key was given. Send it as 'Authorization: Bearer KEY'.",
}
const wrongKey: Failure = {
  code: 'unauthorized',
  message: 'The API key is not valid. Ask the operator of this pool for one.',
}
