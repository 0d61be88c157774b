import { expect, test } from 'bun:test'
import { decodeFromAgent, encodeAgentMessage } from '../protocol/codec.ts'
import type { GpuReading } from '../protocol/gpu.ts'
import { newAgentId, newInstanceId, newJobId } from '../protocol/ids.ts'
import { buildHeartbeat, freshReadings, type HeartbeatFacts } from './heartbeat.ts'
import { newInstance, type Instance } from './instance.ts'

const reading: GpuReading = {
  id: 'GPU-1',
  temperature_c: 65,
  vram_used_mb: 4096,
  vram_total_mb: 8192,
  utilization_pct: 45,
  power_w: 120,
}

function instance(phase: Instance['phase'], jobs: number): Instance {
  const made = newInstance(
    {
      type: 'load',
      instanceId: newInstanceId(),
      manifest: {
        name: 'llama-7b-q4',
        sha256: 'a'.repeat(64),
        sizeBytes: 1,
        architecture: 'llama',
        quantisation: null,
        contextTokensTrained: 512,
        chatTemplateSha256: null,
      },
      sources: [{ kind: 'path', path: '/m' }],
      contextTokens: 64,
      slots: 2,
    },
    0,
  )
  made.phase = phase
  for (let stream = 0; stream < jobs; stream++)
    made.running.set(stream, { stream, attempt: 0, jobId: newJobId() })
  return made
}

const ready = (jobs: number) =>
  instance({ name: 'ready', engine: 1, path: '/m', contextTokens: 64, slots: 2, loadMs: 1 }, jobs)
const crashed = () => {
  const made = instance({ name: 'failed', error: { code: 'model_load_failed', message: 'x' } }, 0)
  made.deaths = [1, 2, 3, 4]
  return made
}

const facts: HeartbeatFacts = {
  agentId: newAgentId(),
  sequence: 7,
  networkLatencyMs: 23,
  draining: false,
  held: [ready(1)],
  readings: [reading],
  heat: 'normal',
}

test('a heartbeat has the fields of the specification and passes the protocol', () => {
  const heartbeat = buildHeartbeat(facts)
  expect(heartbeat).toMatchObject({
    status: 'available',
    current_load: 0.5,
    gpu_state: {
      temperature_c: 65,
      vram_used_mb: 4096,
      vram_total_mb: 8192,
      utilization_pct: 45,
    },
    network_latency_ms: 23,
    models_loaded: ['llama-7b-q4'],
    gpus: [reading],
  })
  expect(decodeFromAgent(encodeAgentMessage(heartbeat))).toEqual(heartbeat)
})

test.each<[string, Partial<HeartbeatFacts>, object]>([
  ['nothing loaded', { held: [], readings: [] }, { status: 'available', current_load: 0 }],
  ['every slot taken', { held: [ready(2), ready(2)] }, { status: 'busy', current_load: 1 }],
  ['one of two models full', { held: [ready(2), ready(0)] }, { status: 'available' }],
  ['too hot', { heat: 'critical' }, { reason: 'thermal' }],
  ['throttled by heat', { heat: 'throttled' }, { reason: 'thermal' }],
  ['a worker that keeps dying', { held: [crashed()] }, { reason: 'worker_crashes' }],
  ['draining', { draining: true, held: [ready(2)] }, { status: 'draining' }],
  ['no GPU', { readings: [] }, { gpu_state: null, gpus: [] }],
])('the status with %s is told', (_, change, expected) => {
  expect(buildHeartbeat({ ...facts, ...change })).toMatchObject(expected)
})

test('a reading that is too old is called unknown', () => {
  const sample = { readings: [reading], takenAt: 1_000 }
  expect(freshReadings(sample, 61_000)).toEqual([reading])
  expect(freshReadings(sample, 61_001)).toEqual([
    {
      id: 'GPU-1',
      temperature_c: null,
      vram_used_mb: null,
      vram_total_mb: null,
      utilization_pct: null,
      power_w: null,
    },
  ])
})
