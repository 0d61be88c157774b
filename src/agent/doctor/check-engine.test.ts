import { expect, test } from 'bun:test'
import type { EngineReport } from '../worker/examine-message.ts'
import { checkAgent } from './check-agent.ts'
import { checkEngine, type EngineFacts } from './check-engine.ts'

const gpus: EngineFacts['gpus'] = [{ name: 'RTX 4090' }]
const onCuda: EngineReport = {
  backend: 'cuda',
  devices: ['NVIDIA GeForce RTX 4090'],
  notes: [],
  model: { gpuLayers: 7, layers: 7, tokens: 4 },
}
const onCpu: EngineReport = {
  backend: 'cpu',
  devices: [],
  notes: [],
  model: { gpuLayers: 0, layers: 7, tokens: 4 },
}
const check = (report: EngineReport, having: EngineFacts['gpus'] = []) =>
  checkEngine({ gpus: having, examination: { type: 'report', report } })[0]

test('what really loaded is told, with its devices', () => {
  expect(check(onCuda, gpus)).toMatchObject({
    status: 'ok',
    text: 'llama.cpp runs on CUDA: NVIDIA GeForce RTX 4090; a small model made tokens with 7 of its 7 layers on the GPU',
  })
  expect(check(onCpu)).toMatchObject({
    status: 'ok',
    text: 'llama.cpp runs on the processor; a small model made tokens',
  })
  expect(check({ ...onCuda, model: null }, gpus)?.text).toContain('no model is here')
})

test('a processor where a GPU could serve fails, with what the library said', () => {
  expect(check({ ...onCpu, notes: ['libcuda.so.1 is missing'] }, gpus)).toMatchObject({
    status: 'failing',
    text: expect.stringMatching(/not on RTX 4090 \(libcuda\.so\.1 is missing\)$/),
    todo: expect.any(String),
  })
})

test('a model that stays off the GPU is a warning, one that does not run a failure', () => {
  const off = { gpuLayers: 0, layers: 7, tokens: 4 }
  expect(check({ ...onCuda, model: off }, gpus)?.status).toBe('warning')
  expect(check({ ...onCuda, model: { problem: 'device lost' } }, gpus)).toMatchObject({
    status: 'failing',
    text: expect.stringContaining('device lost'),
  })
})

test('an engine that does not start fails with the reason', () => {
  const examination = { type: 'failed', reason: 'the worker ended (SIGILL)' } as const
  const [finding] = checkEngine({ gpus: [], examination })
  expect(finding).toMatchObject({ status: 'failing', text: expect.stringContaining('SIGILL') })
})

test('another agent on the state directory: none, online, trying, or silent', () => {
  const running = { type: 'running', pid: 7, connection: 'online', detail: null } as const
  expect(checkAgent({ type: 'none' })[0]?.status).toBe('ok')
  expect(checkAgent(running)[0]).toMatchObject({
    status: 'ok',
    text: 'one is running (pid 7), online',
  })
  const waiting = { ...running, connection: 'waiting', detail: 'refused' }
  expect(checkAgent(waiting)[0]).toMatchObject({
    status: 'warning',
    text: 'one is running (pid 7), waiting (refused)',
  })
  const silent = { type: 'silent', pid: null, reason: 'no answer' } as const
  expect(checkAgent(silent)[0]).toMatchObject({ status: 'failing', todo: expect.any(String) })
})
