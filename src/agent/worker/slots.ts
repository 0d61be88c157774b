/** A slot that was given to a job. */
export type TakenSlot = {
  readonly slot: number
  /** Tokens at the prompt's start that the slot holds already: whole pieces, and never the whole prompt. */
  readonly cachedTokens: number
}

type Slot = {
  busy: boolean
  /** Whose tokens it holds; null: nobody's, or of somebody who shares nothing. */
  tenant: string | null
  /** The prompt of the last job, as far as it was computed in whole pieces. */
  tokenIds: readonly number[]
  usedAt: number
}

/**
 * Which slot a job gets. A slot keeps what its last job's prompt left in the cache, and the next job of the same tenant
 * that begins alike computes only the rest. Never across tenants: the time to the first token would tell one of them
 * what another one asked. Only whole pieces of the standard cutting (prefill.ts) are shared, because only what follows them
 * is then cut as without sharing: of 120 second turns none changed a token; with every token in common shared, 8 did.
 */
export class Slots {
  readonly #slots: readonly Slot[]
  readonly #pieceTokens: number
  #clock = 0

  /** @param pieceTokens size of the pieces in which prompts are computed */
  constructor(count: number, pieceTokens: number) {
    this.#pieceTokens = pieceTokens
    this.#slots = Array.from({ length: count }, () => ({
      busy: false,
      tenant: null,
      tokenIds: [],
      usedAt: 0,
    }))
  }

  /**
   * @param tenant null: shares with nobody, not even with itself
   * @throws when every slot is busy: the job table starts no more jobs than there are
   */
  take(tenant: string | null, prompt: readonly number[]): TakenSlot {
    const busy = (slot: number) => (this.#slots[slot]?.busy === true ? 1 : 0)
    const offers = this.#slots.flatMap((state, slot) => {
      if (state.busy) return []
      const cachedTokens = this.#shared(state, tenant, prompt)
      return [{ slot, state, cachedTokens, busyBeside: busy(slot - 1) + busy(slot + 1) }]
    })
    const [first, ...rest] = offers
    if (first === undefined) throw new Error('every slot is busy')
    const best = rest.reduce((one, other) => (isBetter(other, one) ? other : one), first)
    best.state.busy = true
    return { slot: best.slot, cachedTokens: best.cachedTokens }
  }

  /**
   * The job has ended.
   * @param prompt the part of its prompt that was computed, from the start; empty: what the slot holds is unknown
   */
  release(slot: number, tenant: string | null, prompt: readonly number[]): void {
    const state = this.#slots[slot]
    if (state === undefined) throw new Error(`there is no slot ${slot}`)
    state.busy = false
    state.tenant = tenant
    state.tokenIds = tenant === null ? [] : prompt.slice(0, this.#wholePieces(prompt.length))
    state.usedAt = ++this.#clock
  }

  #shared(state: Slot, tenant: string | null, prompt: readonly number[]): number {
    if (tenant === null || state.tenant !== tenant) return 0
    // The last token is computed in any case: its result is what the first token of the answer is drawn from.
    const most = Math.min(state.tokenIds.length, prompt.length - 1)
    return this.#wholePieces(commonPrefix(state.tokenIds, prompt, most))
  }

  #wholePieces(tokens: number): number {
    return tokens - (tokens % this.#pieceTokens)
  }
}

type Offer = {
  readonly state: Slot
  readonly cachedTokens: number
  /** Of the two slots beside it: with more, the running slots fall into fewer runs. */
  readonly busyBeside: number
}

/** The other conversation in a slot, which would be lost, must not be longer than what is shared with it. */
const keepsMost = ({ state, cachedTokens }: Offer): boolean =>
  cachedTokens > 0 && state.tokenIds.length - cachedTokens <= cachedTokens

/**
 * A slot that goes on; else one beside the busy ones, because each gap between running slots costs a pass through the
 * model for every token (batch-strategy.ts); else an empty one; else one that shares a little; else the one that rested
 * longest.
 */
function isBetter(offer: Offer, than: Offer): boolean {
  const order = (one: Offer): readonly number[] => [
    keepsMost(one) ? one.cachedTokens : 0,
    one.busyBeside,
    one.state.tokenIds.length === 0 ? 1 : 0,
    one.cachedTokens,
    -one.state.usedAt,
  ]
  const [ours, theirs] = [order(offer), order(than)]
  const at = ours.findIndex((value, i) => value !== theirs[i])
  return at !== -1 && (ours[at] ?? 0) > (theirs[at] ?? 0)
}

/** @returns how many tokens at the start are the same, at most `most` */
export function commonPrefix(a: readonly number[], b: readonly number[], most: number): number {
  let same = 0
  while (same < most && a[same] === b[same]) same++
  return same
}
