import { Type, type Static } from 'typebox'
import { Compile } from 'typebox/compile'
import type { GpuInventory } from '../protocol/gpu.ts'
import table from './data/gfx-targets.json' with { type: 'json' }

/** The words are explained in the data file; null: no source says. */
const Support = Type.Union([
  Type.Literal('official'),
  Type.Literal('override'),
  Type.Literal('vulkan'),
  Type.Literal('none'),
  Type.Null(),
])

const GfxTargetSchema = Type.Object({
  gfx: Type.String(),
  architecture: Type.String(),
  /** `apu`: on the processor's die, without memory of its own. */
  form: Type.Union([Type.Literal('card'), Type.Literal('apu')]),
  examples: Type.Array(Type.String(), { minItems: 1 }),
  linux: Support,
  windows: Support,
  /** The value of `HSA_OVERRIDE_GFX_VERSION` that makes ROCm on Linux accept it; null when none does. */
  hsaOverride: Type.Union([Type.String(), Type.Null()]),
  sources: Type.Array(Type.String(), { minItems: 1 }),
})
export type GfxTarget = Static<typeof GfxTargetSchema>

const validate = Compile(
  Type.Object({
    sources: Type.Record(Type.String(), Type.Object({ url: Type.String(), says: Type.String() })),
    targets: Type.Array(GfxTargetSchema),
  }),
)

/** What AMD's targets can be driven with: the data file, checked once at load. */
export const gfxTargets: readonly GfxTarget[] = validate.Parse(table).targets

const byName = new Map(gfxTargets.map(target => [target.gfx, target]))

/** @param gfx for example `gfx1100`; with features as `gfx90a:sramecc+:xnack-`, these are left out */
export const gfxTarget = (gfx: string | null): GfxTarget | null =>
  byName.get(gfx?.split(':')[0]?.trim().toLowerCase() ?? '') ?? null

/**
 * KFD's number as a target: 110003 is gfx1103, 90010 is gfx90a. Each of minor and stepping is one hexadecimal digit
 * in the name and two decimal ones in the number. Null for 0, which a CPU node shows.
 */
export function gfxNameOfKfdVersion(version: number | null): string | null {
  if (version === null || !Number.isInteger(version) || version < 60000 || version > 999999)
    return null
  const [major, minor, stepping] = [
    Math.floor(version / 10000),
    Math.floor(version / 100) % 100,
    version % 100,
  ]
  if (minor > 15 || stepping > 15) return null
  return `gfx${major}${minor.toString(16)}${stepping.toString(16)}`
}

type Backends = NonNullable<GpuInventory['backends']>

/**
 * What llama.cpp could drive a target with, best first. ROCm comes after Vulkan where it runs only with an override.
 * A target that is unknown, or of which no source says, is assumed to work with Vulkan, as every AMD GPU since 2012 does.
 * @param rocmReady false where ROCm cannot work at all, for example without `/dev/kfd`
 */
export function backendsOf(
  target: GfxTarget | null,
  platform: 'linux' | 'windows',
  rocmReady: boolean,
): Backends {
  if (target === null) return ['vulkan']
  switch (target[platform]) {
    case 'official':
      return rocmReady ? ['rocm', 'vulkan'] : ['vulkan']
    case 'override':
      return rocmReady ? ['vulkan', 'rocm'] : ['vulkan']
    case 'vulkan':
    case null:
      return ['vulkan']
    case 'none':
      return []
  }
}
