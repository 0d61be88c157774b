import { Type, type Static } from 'typebox'
import { limits } from './limits.ts'

const NullableNumber = Type.Union([Type.Number(), Type.Null()])
const NullableText = Type.Union([Type.String({ maxLength: 256 }), Type.Null()])

/**
 * What a device is: read once, sent in hello. A fact that could not be read is null, never guessed.
 * `kind` integrated means that its memory is the machine's own and is not counted as VRAM.
 */
export const GpuInventorySchema = Type.Object({
  id: Type.String({ maxLength: 128 }),
  vendor: Type.Union([
    Type.Literal('nvidia'),
    Type.Literal('amd'),
    Type.Literal('apple'),
    Type.Literal('intel'),
    Type.Literal('other'),
  ]),
  kind: Type.Union([Type.Literal('discrete'), Type.Literal('integrated'), Type.Literal('unified')]),
  name: Type.String({ maxLength: 256 }),
  vramTotalMb: NullableNumber,
  driverVersion: NullableText,
  computeCapability: NullableText,
  pciBusId: NullableText,
  /** Which probe said so, for example `nvidia-smi`. */
  source: Type.String({ maxLength: 64 }),
})
export type GpuInventory = Static<typeof GpuInventorySchema>

/** What a device is doing now: sent in every heartbeat, one entry per device. Unknown readings are null. */
export const GpuReadingSchema = Type.Object({
  id: Type.String({ maxLength: 128 }),
  temperature_c: NullableNumber,
  vram_used_mb: NullableNumber,
  vram_total_mb: NullableNumber,
  utilization_pct: NullableNumber,
  power_w: NullableNumber,
})
export type GpuReading = Static<typeof GpuReadingSchema>

export const CpuInventorySchema = Type.Object({
  name: Type.String({ maxLength: 256 }),
  physicalCores: Type.Integer({ minimum: 1, maximum: 4096 }),
  logicalCores: Type.Integer({ minimum: 1, maximum: 8192 }),
  /** Instruction sets that matter to llama.cpp, for example avx2, avx512, neon. */
  features: Type.Array(Type.String({ maxLength: 32 }), { maxItems: 64 }),
})
export type CpuInventory = Static<typeof CpuInventorySchema>

/** Everything about a machine that does not change while the agent runs (the registry's `capabilities`). */
export const InventorySchema = Type.Object({
  hostname: Type.String({ maxLength: 253 }),
  os: Type.String({ maxLength: 64 }),
  arch: Type.String({ maxLength: 32 }),
  memoryTotalMb: Type.Number({ minimum: 0 }),
  cpu: CpuInventorySchema,
  gpus: Type.Array(GpuInventorySchema, { maxItems: limits.gpusPerAgentMax }),
})
export type Inventory = Static<typeof InventorySchema>
