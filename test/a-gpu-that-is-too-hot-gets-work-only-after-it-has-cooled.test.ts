import { afterAll, beforeAll, expect, test } from 'bun:test'
import { dirname } from 'node:path'
import type { AgentDetails, AgentView } from '../src/server/admin/agent-view.ts'
import { Cluster } from './support/cluster.ts'
import { buildFakeNvml, canBuildFakeNvml } from './support/fake-nvml.ts'

let cluster: Cluster

beforeAll(async () => {
  cluster = await Cluster.start()
  await cluster.addDemoModel()
}, 60_000)
afterAll(() => cluster.close())

const details = async (): Promise<AgentDetails> => {
  const { data } = await cluster.admin<{ data: readonly AgentView[] }>('GET', '/admin/agents')
  return cluster.admin<AgentDetails>('GET', `/admin/agents/${data[0]?.id}`)
}

// The driver is a stand-in; the agent reads it as it reads a real one, every ten seconds.
test.skipIf(!canBuildFakeNvml || process.platform !== 'linux')(
  'a request waits while the GPU is above its limit, and is answered once it has cooled',
  async () => {
    using nvml = buildFakeNvml('two_gpus')
    nvml.setState('hot')
    await cluster.addAgent('hot', { LD_LIBRARY_PATH: dirname(nvml.library) })
    await cluster.server.line(line => line.includes('thermal event'))
    const before = await details()
    expect(before).toMatchObject({
      status: 'degraded',
      health: { stopped: expect.stringContaining('above 95 °C; new work below 85 °C') },
      lastHeartbeat: { status: 'degraded', reason: 'thermal' },
      devices: [
        { name: 'NVIDIA GeForce RTX 4090', eligible: true, thermalEvents24h: 1 },
        { name: 'NVIDIA RTX A6000', thermalEvents24h: 1, reading: { temperature_c: 97 } },
      ],
      models: [{ fit: 'gpu' }],
    })
    const answer = cluster.ask('hello')
    nvml.setState('')
    expect(await answer).not.toBe('')
    expect((await details()).health.stopped).toBeNull()
  },
  60_000,
)
