import { architectures, cards, type Architecture, type Arithmetic, type Card } from './card.ts'
import type { CardLookup } from './card-table.ts'
import type { GpuInventory } from '../protocol/gpu.ts'

/** What the table says of a device's speed. Null is unknown. */
export type CardFigures = {
  readonly bandwidthGBs: number | null
  readonly fp16Tflops: number | null
  /** How it multiplies 8-bit integers, which is what llama.cpp computes quantised weights with. */
  readonly int8: Arithmetic
  readonly computeCapability: string | null
  /** Where the figures come from, in words; says so when they are the least of several parts'. */
  readonly origin: string
}

/**
 * The figures of a device. Of several parts that fit, the least counts, so that nobody is ranked by a figure that may
 * be another card's; one unknown among them makes the figure unknown.
 */
export function figuresOf(
  lookup: CardLookup,
  gpu: Pick<GpuInventory, 'computeCapability' | 'gfxTarget'>,
): CardFigures {
  if (lookup.type === 'unknown') return figuresOfArchitecture(gpu, lookup.reason)
  const fitting = lookup.type === 'card' ? [lookup.card] : lookup.cards
  const names = [...new Set(fitting.map(nameOf))].join(', ')
  return {
    bandwidthGBs: least(fitting.map(card => card.bandwidthGBs)),
    fp16Tflops: least(fitting.map(card => card.fp16Tflops)),
    int8: leastArithmetic(fitting.map(card => card.architecture.int8)),
    computeCapability: common(fitting.map(card => card.architecture.computeCapability)),
    origin: fitting.length === 1 ? `table: ${names}` : `table, the least of: ${names}`,
  }
}

const nameOf = (card: Card): string =>
  [
    card.names[0],
    card.laptop === true ? '(laptop)' : '',
    card.gpuCores === null ? '' : `(${card.gpuCores} cores)`,
    card.memoryGb.length === 1 && card.gpuCores === null ? `${card.memoryGb[0]} GB` : '',
  ]
    .filter(Boolean)
    .join(' ')

/** A part that is not in the table still has the arithmetic of its generation. */
function figuresOfArchitecture(
  gpu: Pick<GpuInventory, 'computeCapability' | 'gfxTarget'>,
  reason: string,
): CardFigures {
  const same = architecturesLike(gpu)
  return {
    bandwidthGBs: null,
    fp16Tflops: null,
    int8: same.length === 0 ? null : leastArithmetic(same.map(architecture => architecture.int8)),
    computeCapability: null,
    origin: reason,
  }
}

function architecturesLike(
  gpu: Pick<GpuInventory, 'computeCapability' | 'gfxTarget'>,
): readonly Architecture[] {
  const gfx = gpu.gfxTarget?.split(':')[0] ?? null
  if (gfx !== null)
    return cards.filter(card => card.gfxTarget === gfx).map(card => card.architecture)
  if (gpu.computeCapability === null) return []
  return Object.values(architectures).filter(
    architecture => architecture.computeCapability === gpu.computeCapability,
  )
}

const least = (figures: readonly (number | null)[]): number | null =>
  figures.reduce((low, figure) => (low === null || figure === null ? null : Math.min(low, figure)))

const arithmetics = ['none', 'vector', 'matrix'] as const

const leastArithmetic = (all: readonly Arithmetic[]): Arithmetic =>
  all.includes(null) ? null : (arithmetics.find(arithmetic => all.includes(arithmetic)) ?? null)

const common = (values: readonly (string | null)[]): string | null =>
  values.every(value => value === values[0]) ? (values[0] ?? null) : null
