import { Type, type Static } from 'typebox'
import { limits } from './limits.ts'

const NullableNumber = Type.Union([Type.Number(), Type.Null()])
const NullableText = Type.Union([Type.String({ maxLength: 256 }), Type.Null()])

const MeasuredSpeedSchema = Type.Object({
  tokensPerS: Type.Number({ exclusiveMinimum: 0 }),
  /** Decode: bytes of weights and KV cache read per token. Prefill: floating-point operations per token. */
  workPerToken: Type.Number({ exclusiveMinimum: 0 }),
})
const NullableSpeed = Type.Union([MeasuredSpeedSchema, Type.Null()])

/**
 * What a device really did with a model of random weights. Absent: never measured, or what was measured has changed
 * since. A figure that could not be taken is null, and `reason` says why.
 */
export const DeviceMeasuredSchema = Type.Object({
  decode: NullableSpeed,
  prefill: NullableSpeed,
  /** Memory of the device that could be had while nobody else held much of it. */
  memoryUsableMb: NullableNumber,
  /** Processor: the threads that were fastest. */
  threads: Type.Optional(Type.Union([Type.Integer({ minimum: 1, maximum: 8192 }), Type.Null()])),
  /** Processor: cores that other programs kept busy at that time; null where it is not known. */
  busyCores: Type.Optional(NullableNumber),
  /** What ran it, for example `node-llama-cpp 3.22.1 cuda`. */
  engine: Type.String({ maxLength: 128 }),
  /** By the agent's own wall clock, milliseconds since the Unix epoch: for people, never compared. */
  atMs: Type.Number({ minimum: 0 }),
  reason: Type.Union([Type.String({ maxLength: limits.errorTextBytesMax }), Type.Null()]),
})
export type DeviceMeasured = Static<typeof DeviceMeasuredSchema>

/**
 * What a device is: sent in hello, and again when it changes. A fact that could not be read is null, never guessed.
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
  /** NVIDIA: the newest CUDA that the driver can run, for example `12.4`. */
  cudaVersion: Type.Optional(NullableText),
  computeCapability: NullableText,
  pciBusId: NullableText,
  /** Vendor and device as in the PCI id database, lower case, for example `10de:2684`. */
  pciDeviceId: Type.Optional(NullableText),
  /** AMD's instruction set, for example `gfx1100`. */
  gfxTarget: Type.Optional(NullableText),
  /** Memory a model may take: all of a card's VRAM, the usable share of unified memory. */
  memoryUsableMb: Type.Optional(NullableNumber),
  /** Watts that the device may draw as it is set now. */
  powerLimitW: Type.Optional(NullableNumber),
  /** A laptop's variant of a chip is another part than the desktop's of the same name. */
  laptop: Type.Optional(Type.Union([Type.Boolean(), Type.Null()])),
  /** NVIDIA: split into instances (MIG); null when unknown. */
  migEnabled: Type.Optional(Type.Union([Type.Boolean(), Type.Null()])),
  /** What llama.cpp could drive it with, best first. */
  backends: Type.Optional(
    Type.Array(
      Type.Union([
        Type.Literal('cuda'),
        Type.Literal('rocm'),
        Type.Literal('metal'),
        Type.Literal('vulkan'),
      ]),
      { maxItems: 8 },
    ),
  ),
  measured: Type.Optional(DeviceMeasuredSchema),
  /** Which method read which fact, for example `{ vramTotalMb: 'nvml' }`. */
  readBy: Type.Optional(
    Type.Record(Type.String({ maxLength: 64 }), Type.String({ maxLength: 64 })),
  ),
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
  clock_graphics_mhz: Type.Optional(NullableNumber),
  clock_memory_mhz: Type.Optional(NullableNumber),
  /** Why it runs slower than it could, in the driver's terms, for example `hw_thermal`; null when unknown. */
  throttle_reasons: Type.Optional(
    Type.Union([Type.Array(Type.String({ maxLength: 64 }), { maxItems: 16 }), Type.Null()]),
  ),
})
export type GpuReading = Static<typeof GpuReadingSchema>

export const CpuInventorySchema = Type.Object({
  name: Type.String({ maxLength: 256 }),
  physicalCores: Type.Integer({ minimum: 1, maximum: 4096 }),
  logicalCores: Type.Integer({ minimum: 1, maximum: 8192 }),
  /** Instruction sets that matter to llama.cpp, for example avx2, avx512, neon. */
  features: Type.Array(Type.String({ maxLength: 32 }), { maxItems: 64 }),
  /** Bytes of each cache level, summed over the cores that this machine has; null when unknown. */
  cacheBytes: Type.Optional(
    Type.Object({ l1d: NullableNumber, l2: NullableNumber, l3: NullableNumber }),
  ),
  numaNodes: Type.Optional(NullableNumber),
  /** Main memory, as estimated or measured; the method says which. */
  memoryBandwidthGBs: Type.Optional(
    Type.Object({ value: NullableNumber, method: Type.String({ maxLength: 64 }) }),
  ),
  measured: Type.Optional(DeviceMeasuredSchema),
})
export type CpuInventory = Static<typeof CpuInventorySchema>

/**
 * What a machine is (the registry's `capabilities`). It changes seldom while the agent runs: when a device was measured,
 * is lost or comes back; the whole of it is then sent again.
 */
export const InventorySchema = Type.Object({
  hostname: Type.String({ maxLength: 253 }),
  os: Type.String({ maxLength: 64 }),
  arch: Type.String({ maxLength: 32 }),
  memoryTotalMb: Type.Number({ minimum: 0 }),
  cpu: CpuInventorySchema,
  gpus: Type.Array(GpuInventorySchema, { maxItems: limits.gpusPerAgentMax }),
})
export type Inventory = Static<typeof InventorySchema>
