import { Type, type Static } from 'typebox'
import { Compile } from 'typebox/compile'
import type { GpuInventory, Inventory } from '../protocol/gpu.ts'
import list from './data/drivers.json' with { type: 'json' }
import { isInRange } from './driver-version.ts'

const Component = Type.Union([
  Type.Literal('driver'),
  Type.Literal('kernel'),
  Type.Literal('rocm'),
  Type.Literal('mesa'),
  Type.Literal('firmware'),
  Type.Literal('adrenalin'),
])
type Component = Static<typeof Component>

const Os = Type.Union([Type.Literal('linux'), Type.Literal('windows'), Type.Literal('macos')])
type Os = Static<typeof Os>

const Backend = Type.Union([
  Type.Literal('cuda'),
  Type.Literal('rocm'),
  Type.Literal('metal'),
  Type.Literal('vulkan'),
])
export type Backend = Static<typeof Backend>

const DriverEntry = Type.Object({
  id: Type.String(),
  vendor: Type.Union([
    Type.Literal('nvidia'),
    Type.Literal('amd'),
    Type.Literal('apple'),
    Type.Literal('intel'),
  ]),
  os: Type.Array(Os, { minItems: 1 }),
  component: Component,
  from: Type.String({ pattern: '^\\d' }),
  before: Type.String({ pattern: '^\\d' }),
  backends: Type.Optional(Type.Array(Backend, { minItems: 1 })),
  gfxTargets: Type.Optional(Type.Array(Type.String({ pattern: '^gfx' }), { minItems: 1 })),
  kinds: Type.Optional(Type.Array(Type.String(), { minItems: 1 })),
  gpusMin: Type.Optional(Type.Integer({ minimum: 2 })),
  effect: Type.Union([Type.Literal('crash'), Type.Literal('corruption')]),
  severity: Type.Union([Type.Literal('refuse'), Type.Literal('warn')]),
  reason: Type.String(),
  workaround: Type.Object({
    text: Type.String(),
    /** To be set for the worker; with it, the entry refuses nothing. */
    env: Type.Optional(Type.Record(Type.String(), Type.String())),
  }),
  sources: Type.Array(Type.String({ pattern: '^https://' }), { minItems: 1 }),
})
export type DriverEntry = Static<typeof DriverEntry>

/** The blacklist: the data file, checked once at load. */
export const driverEntries: readonly DriverEntry[] = Compile(
  Type.Object({ entries: Type.Array(DriverEntry) }),
).Parse(list).entries

/** What decides whether an entry speaks of a device. A version that is absent or null is not known. */
export type DriverFacts = {
  readonly os: Os | null
  readonly versions: Readonly<Partial<Record<Component, string | null>>>
  readonly vendor: GpuInventory['vendor']
  readonly kind: GpuInventory['kind']
  readonly gfxTarget: string | null
  /** What llama.cpp could drive the device with; null when not known. */
  readonly backends: readonly Backend[] | null
  readonly gpus: number
}

/**
 * `refused`: nothing known makes it safe. `helped`: it works with what `env` sets and without the backends in
 * `avoidBackends`. `warned`: it mostly works. `unknown`: no version could be read that an entry asks for.
 */
export type DriverJudgement = {
  readonly verdict: 'clear' | 'warned' | 'helped' | 'refused' | 'unknown'
  readonly matches: readonly DriverEntry[]
  readonly env: Readonly<Record<string, string>>
  readonly avoidBackends: readonly Backend[]
}

/** @param known versions that the inventory has no field for, such as `{ rocm: '7.2.3', mesa: '25.0.7' }` */
export function driverFactsOf(
  inventory: Pick<Inventory, 'os' | 'gpus'>,
  gpu: GpuInventory,
  known: DriverFacts['versions'] = {},
): DriverFacts {
  const [platform = '', release = ''] = inventory.os.split(' ')
  return {
    os: osNames.get(platform) ?? null,
    versions: { driver: gpu.driverVersion, kernel: release === '' ? null : release, ...known },
    vendor: gpu.vendor,
    kind: gpu.kind,
    gfxTarget: gpu.gfxTarget?.split(':')[0] ?? null,
    backends: gpu.backends ?? null,
    gpus: inventory.gpus.filter(other => other.vendor === gpu.vendor).length,
  }
}

const osNames: ReadonlyMap<string, Os> = new Map([
  ['linux', 'linux'],
  ['win32', 'windows'],
  ['darwin', 'macos'],
])

export function judgeDriver(
  facts: DriverFacts,
  entries: readonly DriverEntry[] = driverEntries,
): DriverJudgement {
  const concerned = entries.filter(entry => concerns(entry, facts))
  const matches = concerned.filter(entry => matchesVersion(entry, facts) === true)
  const refusing = matches.filter(
    entry => entry.severity === 'refuse' && entry.workaround.env === undefined,
  )
  const avoidBackends = [...new Set(refusing.flatMap(entry => entry.backends ?? []))]
  const env = Object.assign({}, ...matches.map(entry => entry.workaround.env ?? {}))
  const judgement = { matches, env, avoidBackends }
  if (refusing.some(entry => refuses(entry, facts, avoidBackends)))
    return { ...judgement, verdict: 'refused' }
  if (avoidBackends.length > 0 || Object.keys(env).length > 0)
    return { ...judgement, verdict: 'helped' }
  if (matches.length > 0) return { ...judgement, verdict: 'warned' }
  const unread =
    facts.os === null ||
    concerned.some(entry => entry.component === 'driver' && matchesVersion(entry, facts) === null)
  return { ...judgement, verdict: unread ? 'unknown' : 'clear' }
}

/** An entry about some backends leaves the others; where the choice is not known, the avoided ones may be all. */
function refuses(
  entry: DriverEntry,
  facts: DriverFacts,
  avoidBackends: readonly Backend[],
): boolean {
  if (entry.backends === undefined || facts.backends === null) return true
  return facts.backends.every(backend => avoidBackends.includes(backend))
}

function concerns(entry: DriverEntry, facts: DriverFacts): boolean {
  const { backends, gfxTargets, kinds, gpusMin } = entry
  return (
    entry.vendor === facts.vendor &&
    facts.os !== null &&
    entry.os.includes(facts.os) &&
    (gfxTargets === undefined ||
      (facts.gfxTarget !== null && gfxTargets.includes(facts.gfxTarget))) &&
    (kinds === undefined || kinds.includes(facts.kind)) &&
    (gpusMin === undefined || facts.gpus >= gpusMin) &&
    (backends === undefined ||
      facts.backends === null ||
      backends.some(backend => facts.backends?.includes(backend)))
  )
}

function matchesVersion(entry: DriverEntry, { versions }: DriverFacts): boolean | null {
  const version = versions[entry.component] ?? null
  return version === null ? null : isInRange(version, entry.from, entry.before)
}
