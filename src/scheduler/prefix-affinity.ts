import type { Instance } from './agent.ts'

/** The start of a prompt, up to the end of a message or a block of one. */
export type PromptPrefix = {
  /**
   * Of all that comes before its end, chained, and keyed by tenant and model, so that equal starts of two tenants differ.
   * A whole number below 2 ** 52.
   */
  readonly hash: number
  /** Tokens up to its end, roughly. */
  readonly tokens: number
}

/** The prompt of a job that has ended. */
export type KeptPrompt = {
  readonly prefixes: readonly PromptPrefix[]
  /** Of it, that the instance had before; 0: it took the place of another conversation. */
  readonly continuedTokens: number
}

/** An instance that has computed the start of a prompt, as far as anybody knows. */
export type KeptPrefix = { readonly instance: Instance; readonly tokens: number }

/** Starts of prompts that are remembered; each takes some 30 bytes. */
export const prefixEntriesMax = 65_536
/** An entry may lie in one of so many places, and a new one takes the place of the oldest there. */
const ways = 4

/**
 * Which instance computed the start of a prompt last. A hint, never a promise: a wrong one costs a prompt that is computed
 * anew, for the worker compares the tokens, and the tenant, itself.
 *
 * A worker keeps the prompt of the last job of each slot (agent/worker/slots.ts), so an instance with n slots is believed
 * to have the last n conversations and no more: older entries say so by the instance's count of conversations. An
 * instance that is gone is found nowhere; after a failure it is believed nothing.
 */
export class PrefixAffinity {
  /** Beside each other, so that a look at all places of a hash touches two cache lines. */
  readonly #entries = new Float64Array(prefixEntriesMax * fields)
  readonly #instances = Array.from<Instance | undefined>({ length: prefixEntriesMax })
  #made = 0

  /** @param prefixes from short to long */
  longest(prefixes: readonly PromptPrefix[]): KeptPrefix | undefined {
    for (let i = prefixes.length - 1; i >= 0; i--) {
      const prefix = prefixes[i]
      if (prefix === undefined) continue
      const at = this.#placeOf(prefix.hash)
      if (at === -1) continue
      const instance = this.#instances[at]
      if (instance === undefined) continue
      if (instance.conversations - this.#field(at, conversations) < instance.slots)
        return { instance, tokens: prefix.tokens }
    }
    return undefined
  }

  /** A job has ended there. */
  keep(instance: Instance, { prefixes, continuedTokens }: KeptPrompt): void {
    if (continuedTokens === 0) instance.conversations++
    for (const { hash, tokens } of prefixes)
      if (tokens > continuedTokens) this.#enter(hash, instance)
  }

  /** A job has failed there: whatever it had is not believed any more. */
  drop(instance: Instance): void {
    instance.conversations += instance.slots
  }

  #enter(hash: number, instance: Instance): void {
    const known = this.#placeOf(hash)
    const at = known === -1 ? this.#oldest(hash) : known
    this.#instances[at] = instance
    this.#entries[at * fields] = hash
    this.#entries[at * fields + conversations] = instance.conversations
    this.#entries[at * fields + made] = ++this.#made
  }

  #field(at: number, field: number): number {
    return this.#entries[at * fields + field] ?? 0
  }

  #placeOf(hash: number): number {
    const first = firstPlace(hash)
    for (let at = first; at < first + ways; at++) if (this.#field(at, 0) === hash) return at
    return -1
  }

  #oldest(hash: number): number {
    const first = firstPlace(hash)
    let oldest = first
    for (let at = first + 1; at < first + ways; at++)
      if (this.#field(at, made) < this.#field(oldest, made)) oldest = at
    return oldest
  }
}

/** Of an entry: its hash, the instance's count of conversations when it was made, and the count of all entries then. */
const conversations = 1
const made = 2
const fields = 4

const firstPlace = (hash: number): number => ((hash | 0) & (prefixEntriesMax / ways - 1)) * ways
