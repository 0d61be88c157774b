import type { AgentDetails, AgentView } from './agent-view.ts'

const device = {
  id: 'GPU-5f2c',
  name: 'NVIDIA GeForce RTX 4090',
  memoryMb: 24_564,
  eligible: true,
  score: 66.4,
}

/** A machine of the listing, for `/swagger`. */
export const agentExample: AgentView = {
  id: '0d3f1c52-8f0e-4b7a-9a55-2f9f4f6f1f11',
  name: 'gaming-pc',
  adminState: 'active',
  status: 'online',
  connected: true,
  liveness: 'green',
  health: { stopped: null, slowed: false },
  reliability: 0.85,
  region: 'eu-north',
  gpus: ['NVIDIA GeForce RTX 4090'],
  devices: [device],
  softwareVersion: '0.1.0',
  enrolledAt: '2026-11-01T09:00:00.000Z',
  lastHeartbeatAt: '2026-12-01T12:00:00.000Z',
  activeRequests: 1,
  externalModels: null,
  instances: [
    {
      instanceId: '7a1f3f0e-1111-4b7a-9a55-2f9f4f6f1f11',
      model: 'llama-3.1-8b-q4',
      status: { state: 'ready', contextTokens: 8192, slots: 4, loadMs: 2100 },
    },
  ],
}

const gpu = {
  id: 'GPU-5f2c',
  vendor: 'nvidia',
  kind: 'discrete',
  name: 'NVIDIA GeForce RTX 4090',
  vramTotalMb: 24_564,
  driverVersion: '570.124.06',
  computeCapability: '8.9',
  pciBusId: '0000:01:00.0',
  source: 'nvml',
} as const

const reading = {
  id: 'GPU-5f2c',
  temperature_c: 64,
  vram_used_mb: 9_120,
  vram_total_mb: 24_564,
  utilization_pct: 45,
  power_w: 210,
  throttle_reasons: [],
}

/** The same machine with all there is to say. */
export const agentDetailsExample: AgentDetails = {
  ...agentExample,
  reliabilityReason:
    '0.85 because 64 of 65 recent requests completed (0.85), 1 connection lost lately (-0.01)',
  devices: [
    {
      ...device,
      inventory: gpu,
      reading,
      answers: [
        {
          predicate: 'memory',
          passes: true,
          known: true,
          reason: 'no model asked for',
        },
        {
          predicate: 'compute-capability',
          passes: true,
          known: true,
          reason: 'compute capability 8.9, needed 7.0',
        },
        { predicate: 'driver', passes: true, known: true, reason: 'its driver is on no list' },
        {
          predicate: 'thermal-events',
          passes: true,
          known: true,
          reason: '1 thermal event in 24 h, 3 are too many',
        },
        {
          predicate: 'error-rate',
          passes: true,
          known: true,
          reason: '1 of 120 inferences failed in 24 h: 0.83 %, allowed 5 %',
        },
      ],
      scoreExplanation:
        '66.4 = 22.5 memory (24.0 GB) + 21.6 decode (123 tokens/s of an 8B model, estimated from 1008 GB/s) + … (table: GeForce RTX 4090 24 GB)',
      driverNotes: [],
      thermalEvents24h: 1,
    },
  ],
  errors: { outcomes: 120, failed: 1, rate: 0.0083 },
  models: [
    { model: 'llama-3.1-8b-q4', fit: 'gpu', reason: 'whole on NVIDIA GeForce RTX 4090' },
    {
      model: 'llama-3.1-70b-q4',
      fit: 'none',
      reason:
        'does not fit main memory: 32768 MB, needed 44821 MB; NVIDIA GeForce RTX 4090: 24564 MB, needed 44380 MB',
    },
  ],
  capabilities: {
    hostname: 'gaming-pc',
    os: 'linux 6.14',
    arch: 'x64',
    memoryTotalMb: 32_768,
    cpu: { name: 'AMD Ryzen 7 7700', physicalCores: 8, logicalCores: 16, features: ['avx2'] },
    gpus: [gpu],
  },
  lastHeartbeat: {
    status: 'available',
    current_load: 0.25,
    gpu_state: {
      temperature_c: 64,
      vram_used_mb: 9_120,
      vram_total_mb: 24_564,
      utilization_pct: 45,
    },
    gpus: [reading],
    network_latency_ms: 18,
    models_loaded: ['llama-3.1-8b-q4'],
  },
  history: [{ type: 'connected', at: '2026-12-01T08:00:00.000Z', metadata: { version: '0.1.0' } }],
}
