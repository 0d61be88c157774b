import type { GpuInventory } from '../protocol/gpu.ts'
import { cards, type Card } from './card.ts'
import { parseCardName, partsIn, type CardName } from './card-name.ts'

/** What identifies a part: the facts of an inventory, and Apple's count of GPU cores where a probe knows it. */
export type CardQuery = Pick<GpuInventory, 'vendor' | 'name' | 'vramTotalMb'> &
  Partial<Pick<GpuInventory, 'pciDeviceId' | 'laptop' | 'gfxTarget'>> & {
    readonly gpuCores?: number | null
  }

/** `ambiguous`: several parts answer to this description; what differs between them is not known of this device. */
export type CardLookup =
  | { readonly type: 'card'; readonly card: Card; readonly by: 'pci-id' | 'name' }
  | {
      readonly type: 'ambiguous'
      readonly cards: readonly Card[]
      readonly by: 'pci-id' | 'name'
    }
  | { readonly type: 'unknown'; readonly reason: string }

/** Error correction takes a sixteenth of a card's memory, drivers keep some more: 24 GB cards report 23,028 MB and up. */
const memoryTolerance = { below: 0.08, above: 0.02 }

/** Parts by what finds them. */
export type CardIndex = {
  readonly byPciId: ReadonlyMap<string, readonly Card[]>
  readonly byName: ReadonlyMap<string, readonly Card[]>
}

export const indexCards = (all: readonly Card[]): CardIndex => ({
  byPciId: group(all, card => card.pciIds),
  byName: group(all, card => card.names.map(name => nameKey(card.vendor, parseCardName(name)))),
})

const wholeTable = indexCards(cards)

/**
 * Finds a device in the table: by PCI id where the table has it, else by name. What still fits several parts is
 * narrowed by laptop or desktop, memory size, core count and instruction set; a hint that would leave none is ignored,
 * since a fact that fits no part (22 GB soldered onto an 11 GB card) does not unmake the rest.
 */
export function lookUpCard(query: CardQuery, index: CardIndex = wholeTable): CardLookup {
  const named = cardsNamed(query, index)
  const withId = index.byPciId.get(query.pciDeviceId?.toLowerCase() ?? '') ?? []
  const found = withId.length > 0 ? withId : named
  if (found.length === 0)
    return { type: 'unknown', reason: `no part named ${query.name} in the table of cards` }
  const by = withId.length > 0 ? 'pci-id' : 'name'
  const narrowed = hints(query, named).reduce(narrow, [...new Set(found)])
  const [only] = narrowed
  return narrowed.length === 1 && only !== undefined
    ? { type: 'card', card: only, by }
    : { type: 'ambiguous', cards: narrowed, by }
}

/**
 * None when the text names several parts and one of them is not in the table: the device may be that one, and nobody
 * is ranked by a figure that may be another card's.
 */
function cardsNamed({ vendor, name }: CardQuery, { byName }: CardIndex): readonly Card[] {
  const find = (spelling: string): readonly Card[] => {
    const spelled = parseCardName(spelling)
    const same = byName.get(nameKey(vendor, spelled)) ?? []
    return same.filter(card => !contradicts(spelled, card))
  }
  const whole = find(name)
  if (whole.length > 0) return whole
  const parts = partsIn(name).map(spellings => spellings.flatMap(find))
  return parts.every(found => found.length > 0) ? parts.flat() : []
}

function nameKey(vendor: CardQuery['vendor'], { base }: CardName): string {
  return `${vendor} ${base}`
}

/** What the name itself says is no hint: `RTX 5060` is no `RTX 5060 Laptop GPU`, nor an 80 GB card one with 40. */
const contradicts = ({ saysLaptop, memoryGb }: CardName, card: Card): boolean =>
  (saysLaptop && card.laptop === false) ||
  (!saysLaptop && card.laptop === true && card.architecture.namesSayLaptop) ||
  (memoryGb !== null && !mayHaveMemory(card, memoryGb * 1024))

type Hint = (card: Card) => boolean

const narrow = (candidates: readonly Card[], hint: Hint): readonly Card[] => {
  const left = candidates.filter(hint)
  return left.length === 0 ? candidates : left
}

function hints(query: CardQuery, named: readonly Card[]): readonly Hint[] {
  const exact = parseCardName(query.name)
  const gpuCores = query.gpuCores ?? exact.gpuCores
  const gfx = query.gfxTarget?.split(':')[0] ?? null
  const memoryMb = query.vramTotalMb ?? gibToMb(exact.memoryGb)
  return [
    card => named.includes(card),
    card => fitsLaptop(card, query.laptop ?? null, exact.saysLaptop),
    card => gfx === null || card.gfxTarget === null || card.gfxTarget === gfx,
    card => gpuCores === null || card.gpuCores === gpuCores,
    card => memoryMb === null || mayHaveMemory(card, memoryMb),
  ]
}

/**
 * A name that says laptop is believed, and so is one that does not where drivers would have said it: a desktop card in
 * a box beside a laptop stays a desktop card. Only for the older chips does the probe's opinion decide.
 */
function fitsLaptop(card: Card, laptop: boolean | null, saysLaptop: boolean): boolean {
  if (card.laptop === null) return true
  if (saysLaptop || card.architecture.namesSayLaptop) return card.laptop === saysLaptop
  return laptop === null || card.laptop === laptop
}

const gibToMb = (gib: number | null): number | null => (gib === null ? null : gib * 1024)

/** A row without sizes may have any. */
const mayHaveMemory = ({ memoryGb }: Card, mb: number): boolean =>
  memoryGb.length === 0 || memoryGb.some(gb => fitsMemory(gb, mb))

const fitsMemory = (gb: number, mb: number): boolean =>
  mb >= gb * 1024 * (1 - memoryTolerance.below) && mb <= gb * 1024 * (1 + memoryTolerance.above)

function group(all: readonly Card[], keysOf: (card: Card) => readonly string[]) {
  const groups = new Map<string, Card[]>()
  for (const card of all)
    for (const key of keysOf(card)) groups.set(key, [...(groups.get(key) ?? []), card])
  return groups
}
