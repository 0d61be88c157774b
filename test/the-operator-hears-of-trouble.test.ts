import { afterAll, beforeAll, expect, test } from 'bun:test'
import { createHmac } from 'node:crypto'
import { copyFile, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import type { EventView } from '../src/server/admin/event-routes.ts'
import { Cluster, demoModelPath } from './support/cluster.ts'

const secret = Buffer.from('k'.repeat(32))
type Message = { readonly headers: Headers; readonly body: string }
const received = Promise.withResolvers<Message>()
/** The operator's chat, for example. */
const receiver = Bun.serve({
  hostname: '127.0.0.1',
  port: 0,
  fetch: async request => {
    received.resolve({ headers: request.headers, body: await request.text() })
    return new Response()
  },
})
let cluster: Cluster

beforeAll(async () => {
  cluster = await Cluster.start({
    GPUPOOL_ADMIN_WEBHOOK: `http://127.0.0.1:${receiver.port}/hook`,
    GPUPOOL_ADMIN_WEBHOOK_SECRET: `whsec_${secret.toString('base64')}`,
  })
}, 60_000)
afterAll(async () => {
  await cluster.close()
  await receiver.stop(true)
})

test('the operator hears of trouble in the events and at the webhook', async () => {
  const path = join(cluster.folder, 'spoilt.gguf')
  await copyFile(demoModelPath, path)
  await cluster.admin('POST', '/admin/models', { name: 'spoilt', source: path })
  const agent = await cluster.addAgent('den')
  expect(agent.output).toContain('online')
  // The file is not any more what the catalogue says that it is.
  await truncate(path, 100_000)
  const answer = await cluster.request('POST', '/v1/chat/completions', {
    model: 'spoilt',
    messages: [{ role: 'user', content: 'a secret of the client' }],
  })
  expect(answer.ok).toBe(false)
  const { headers, body } = await received.promise
  const signed = `${headers.get('webhook-id')}.${headers.get('webhook-timestamp')}.${body}`
  const hmac = createHmac('sha256', secret).update(signed).digest('base64')
  expect(headers.get('webhook-signature')).toBe(`v1,${hmac}`)
  const { events } = JSON.parse(body) as { events: readonly EventView[] }
  expect(events).toMatchObject([{ type: 'model_failed', agentName: 'den', model: 'spoilt' }])
  expect(body).not.toContain('secret of the client')
  // Written behind, every five seconds; what a stop writes is there at once after the next start.
  await cluster.server.kill('SIGTERM')
  await cluster.restartServer()
  const kept = await cluster.admin<{ data: readonly EventView[] }>('GET', '/admin/events')
  expect(kept.data).toMatchObject(events)
}, 60_000)
