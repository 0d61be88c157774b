import { Type, type Static } from 'typebox'
import { Compile } from 'typebox/compile'
import table from './data/cards.json' with { type: 'json' }

const Vendor = Type.Union([
  Type.Literal('nvidia'),
  Type.Literal('amd'),
  Type.Literal('apple'),
  Type.Literal('intel'),
])
const Figure = Type.Union([Type.Number({ exclusiveMinimum: 0 }), Type.Null()])

/**
 * How a device multiplies numbers of this kind: by units for whole matrices (tensor cores, WMMA, XMX), by dot products
 * of short vectors (dp4a), or by neither. Null: no source says.
 */
const Arithmetic = Type.Union([
  Type.Literal('matrix'),
  Type.Literal('vector'),
  Type.Literal('none'),
  Type.Null(),
])
export type Arithmetic = Static<typeof Arithmetic>

const Architecture = Type.Object({
  vendor: Vendor,
  /** NVIDIA's; AMD's target is the card's `gfxTarget`. */
  computeCapability: Type.Union([Type.String({ pattern: '^\\d+\\.\\d$' }), Type.Null()]),
  /** Since Ampere, NVIDIA's drivers print "Laptop GPU"; before, both parts print the same name. */
  namesSayLaptop: Type.Boolean(),
  /** fp16 operations per fp32 operation in the shader units, 1/64 to 4. */
  fp16PerFp32: Figure,
  matrixUnits: Type.Boolean(),
  int8: Arithmetic,
  int4: Arithmetic,
  fp8: Arithmetic,
  fp4: Arithmetic,
  sources: Type.Array(Type.String(), { minItems: 1 }),
})
export type Architecture = Static<typeof Architecture>

const CardRow = Type.Object({
  vendor: Vendor,
  /** As drivers print it, without the vendor's name; the first is the one to show. */
  names: Type.Array(Type.String(), { minItems: 1 }),
  /** Parts a laptop's chip from the desktop's of the same name; null where the name alone decides. */
  laptop: Type.Union([Type.Boolean(), Type.Null()]),
  architecture: Type.String(),
  /** Sizes sold, GiB; empty for a graphics unit on the processor's die. */
  memoryGb: Type.Array(Type.Integer({ minimum: 1 })),
  gfxTarget: Type.Union([Type.String({ pattern: '^gfx[0-9a-f]{3,4}$' }), Type.Null()]),
  /** Apple's count of GPU cores: the same chip is sold with several, and its bandwidth may differ with them. */
  gpuCores: Type.Union([Type.Integer({ minimum: 1 }), Type.Null()]),
  pciIds: Type.Array(Type.String({ pattern: '^[0-9a-f]{4}:[0-9a-f]{4}$' })),
  shaders: Figure,
  boostMhz: Figure,
  busBits: Figure,
  /** Per pin. */
  memoryGbps: Figure,
  /** Decimal GB/s, peak. */
  bandwidthGBs: Figure,
  /** Peak of the shader units, dense; see `about` in the data file. */
  fp16Tflops: Figure,
  sources: Type.Array(Type.String()),
  synthetic: Type.Optional(Type.Literal(true)),
})
type CardRow = Static<typeof CardRow>

const validate = Compile(
  Type.Object({
    sources: Type.Record(Type.String(), Type.String()),
    architectures: Type.Record(Type.String(), Architecture),
    cards: Type.Record(Type.String(), CardRow),
  }),
)
const data = validate.Parse(table)

/** A part as sold, with the figures of its data sheet. */
export type Card = Omit<CardRow, 'architecture'> & {
  readonly key: string
  readonly architectureName: string
  readonly architecture: Architecture
}

/** Where the figures can be looked up, by the ids that `Card.sources` begin with. */
export const cardSources: Readonly<Record<string, string>> = data.sources

export const architectures: Readonly<Record<string, Architecture>> = data.architectures

/** All parts of the data file, which is checked once at load. */
export const cards: readonly Card[] = Object.entries(data.cards).map(([key, row]) => {
  const { architecture: architectureName, ...rest } = row
  const architecture = data.architectures[architectureName]
  if (architecture === undefined) throw new Error(`${key}: no architecture ${architectureName}`)
  return { ...rest, key, architectureName, architecture }
})
