import OpenAI from 'openai'
import { Cluster } from './cluster.ts'

/** The official client with a key; without retries, which would hide a first failure. */
export const officialClient = (cluster: Cluster, apiKey: string): OpenAI =>
  new OpenAI({ apiKey, baseURL: `${cluster.ready.apiUrl}/v1`, maxRetries: 0 })

/** The official client with a key of its own that may ask and list models, and nothing else. */
export async function clientOf(cluster: Cluster): Promise<OpenAI> {
  const { key } = await cluster.admin<{ key: string }>('POST', '/admin/keys', {
    name: 'test',
    scopes: ['infer', 'models:read'],
  })
  return officialClient(cluster, key)
}

/** A pool of one agent that serves the demo model, and the official client. */
export async function poolWithClient(): Promise<{ cluster: Cluster; openai: OpenAI }> {
  const cluster = await Cluster.start()
  await cluster.addDemoModel()
  await cluster.addAgent('laptop')
  return { cluster, openai: await clientOf(cluster) }
}
