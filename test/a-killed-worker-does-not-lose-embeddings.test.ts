import { afterAll, beforeAll, expect, test } from 'bun:test'
import { join } from 'node:path'
import { askStatus, localControlPath } from '../src/agent/local-control.ts'
import { writeSyntheticGguf } from '../src/models/synthetic-gguf.ts'
import { Cluster } from './support/cluster.ts'
import { officialClient } from './support/official-client.ts'
import { encoder, pooling } from './support/embedding-models.ts'
import { childrenOf } from './support/process-end.ts'
import type { Program } from './support/program.ts'

let cluster: Cluster
let agent: Program

beforeAll(async () => {
  cluster = await Cluster.start()
  const source = join(cluster.folder, 'vectors.gguf')
  await writeSyntheticGguf(source, encoder(pooling.mean), 'random')
  await cluster.admin('POST', '/admin/models', { name: 'vectors', source, slots: 1 })
  agent = await cluster.addAgent('laptop')
}, 60_000)
afterAll(() => cluster.close())

test('kill -9 of the worker in the middle of a request: all vectors come, as if nothing had happened, and count once', async () => {
  const openai = officialClient(cluster, cluster.adminKey)
  const request = {
    model: 'vectors',
    input: Array.from({ length: 2_000 }, (_, i) => 'a b c '.repeat(1 + (i % 9))),
  }
  const undisturbed = await openai.embeddings.create(request)
  const [worker = 0] = childrenOf(agent.pid)
  const died = agent.nextLine(line => line.includes('worker') && line.includes('SIGKILL'))
  // A worker that is stopped holds the request, however fast it would have been.
  process.kill(worker, 'SIGSTOP')
  const answer = openai.embeddings.create(request)
  const control = localControlPath(join(cluster.folder, 'laptop'))
  while ((await askStatus(control))?.instances[0]?.jobsRunning !== 1);
  const ended = cluster.server.nextLine(line => line.includes('"attempts":2'))
  process.kill(worker, 'SIGKILL')
  const { data, usage } = await answer
  await died
  await ended
  expect(data.map(({ embedding }) => embedding)).toEqual(
    undisturbed.data.map(({ embedding }) => embedding),
  )
  expect(usage).toEqual(undisturbed.usage)
  const [next] = childrenOf(agent.pid)
  expect(next).not.toBe(worker)
}, 60_000)
