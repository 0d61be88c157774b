import { t } from 'elysia'

const NullableNumber = t.Nullable(t.Number())
const NullableText = t.Nullable(t.String())

const MeasuredSpeed = t.Nullable(
  t.Object({
    tokensPerS: t.Number(),
    workPerToken: t.Number({
      description: 'Decode: bytes read per token. Prefill: floating-point operations per token',
    }),
  }),
)

/** What a device did when its agent measured it; `DeviceMeasuredSchema` in protocol/gpu.ts says more. */
const MeasuredView = t.Object({
  decode: MeasuredSpeed,
  prefill: MeasuredSpeed,
  memoryUsableMb: NullableNumber,
  threads: t.Optional(NullableNumber),
  busyCores: t.Optional(NullableNumber),
  engine: t.String(),
  atMs: t.Number({ description: 'By the agent’s clock, milliseconds since 1970' }),
  reason: t.Nullable(t.String({ description: 'Why a figure is missing' })),
})

/** A device as its machine describes it; the comments of `GpuInventorySchema` in protocol/gpu.ts say more. */
export const GpuView = t.Object({
  id: t.String(),
  vendor: t.UnionEnum(['nvidia', 'amd', 'apple', 'intel', 'other']),
  kind: t.UnionEnum(['discrete', 'integrated', 'unified'], {
    description: 'integrated and unified: its memory is the machine’s own',
  }),
  name: t.String(),
  vramTotalMb: NullableNumber,
  driverVersion: NullableText,
  cudaVersion: t.Optional(NullableText),
  computeCapability: NullableText,
  pciBusId: NullableText,
  pciDeviceId: t.Optional(NullableText),
  gfxTarget: t.Optional(NullableText),
  memoryUsableMb: t.Optional(t.Nullable(t.Number({ description: 'Memory a model may take' }))),
  powerLimitW: t.Optional(NullableNumber),
  laptop: t.Optional(t.Nullable(t.Boolean())),
  migEnabled: t.Optional(t.Nullable(t.Boolean())),
  backends: t.Optional(
    t.Array(t.UnionEnum(['cuda', 'rocm', 'metal', 'vulkan']), { description: 'Best first' }),
  ),
  measured: t.Optional(MeasuredView),
  readBy: t.Optional(t.Record(t.String(), t.String(), { description: 'Who read which fact' })),
  source: t.String({ description: 'Which probe said so' }),
})

/** A machine as it describes itself; null is unknown. */
export const InventoryView = t.Object({
  hostname: t.String(),
  os: t.String(),
  arch: t.String(),
  memoryTotalMb: t.Number(),
  cpu: t.Object({
    name: t.String(),
    physicalCores: t.Number(),
    logicalCores: t.Number(),
    features: t.Array(t.String()),
    cacheBytes: t.Optional(
      t.Object({ l1d: NullableNumber, l2: NullableNumber, l3: NullableNumber }),
    ),
    numaNodes: t.Optional(NullableNumber),
    memoryBandwidthGBs: t.Optional(t.Object({ value: NullableNumber, method: t.String() })),
    measured: t.Optional(MeasuredView),
  }),
  gpus: t.Array(GpuView),
})

/** What a device does now; null is unknown. */
export const ReadingView = t.Object({
  id: t.String(),
  temperature_c: NullableNumber,
  vram_used_mb: NullableNumber,
  vram_total_mb: NullableNumber,
  utilization_pct: NullableNumber,
  power_w: NullableNumber,
  clock_graphics_mhz: t.Optional(NullableNumber),
  clock_memory_mhz: t.Optional(NullableNumber),
  throttle_reasons: t.Optional(
    t.Nullable(t.Array(t.String(), { description: 'In the driver’s terms' })),
  ),
})

const ModelMetricsView = t.Object({
  model: t.String(),
  memory_main_mb: t.Number({ description: 'As planned when it was loaded' }),
  memory_gpu_mb: t.Number(),
  slots_busy: t.Number(),
  slots_total: t.Number(),
  queue_depth: t.Number({ description: 'Jobs that wait for the model or a slot of it' }),
  prefill_tokens_per_s: NullableNumber,
  decode_tokens_per_s: NullableNumber,
  load_ms: NullableNumber,
  jobs_finished: t.Number({ description: 'Since the agent began; so are the token counts' }),
  prompt_tokens: t.Number(),
  cached_tokens: t.Number({ description: 'Of the prompts, those that a slot still knew' }),
  answer_tokens: t.Number(),
})

/** What an agent measures of its own work. */
const AgentMetricsView = t.Object({
  slots_busy: t.Number(),
  slots_total: t.Number(),
  queue_depth: t.Number(),
  models_waiting: t.Number({ description: 'Models that wait for room in memory' }),
  memory_available_mb: t.Number(),
  models: t.Array(ModelMetricsView),
})

/** Specification 1.5. */
export const HeartbeatView = t.Object({
  status: t.UnionEnum(['available', 'busy', 'degraded', 'draining']),
  reason: t.Optional(t.String({ description: 'Why it is degraded, for example thermal' })),
  current_load: t.Number({ description: 'Busy slots divided by slots' }),
  gpu_state: t.Nullable(
    t.Object({
      temperature_c: NullableNumber,
      vram_used_mb: NullableNumber,
      vram_total_mb: NullableNumber,
      utilization_pct: NullableNumber,
    }),
  ),
  gpus: t.Array(ReadingView),
  network_latency_ms: NullableNumber,
  models_loaded: t.Array(t.String()),
  metrics: t.Optional(AgentMetricsView),
})

/** What a placement of a model does on its machine. */
export const InstanceStatusView = t.Union([
  t.Object({ state: t.Literal('loading'), progress: t.Nullable(t.Number()) }),
  t.Object({
    state: t.Literal('ready'),
    contextTokens: t.Number({ description: 'Of one slot' }),
    slots: t.Number(),
    loadMs: t.Number(),
  }),
  t.Object({
    state: t.Literal('failed'),
    error: t.Object({ code: t.String(), message: t.String() }),
  }),
  t.Object({ state: t.Literal('unloaded') }),
])
