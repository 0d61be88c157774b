import type { Identity } from './state-dir.ts'

/** What the enrolment listener knows an agent by. For verified connections to the pool's own origin alone. */
export const poolHeaders = ({
  apiKey,
  agentId,
}: Pick<Identity, 'apiKey' | 'agentId'>): Readonly<Record<string, string>> => ({
  authorization: `Bearer ${apiKey}`,
  'x-gpupool-agent': agentId,
})

/** @throws Error when the body has more bytes */
export async function readBounded(response: Response, bytesMax: number): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength
    if (bytes > bytesMax) throw new Error('its answer is too long')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
