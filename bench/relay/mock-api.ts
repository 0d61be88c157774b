import { ChatChunkWriter, doneLine } from '../../src/server/api/chat-chunk-writer.ts'
import { say } from '../harness/orders.ts'
import { paceAnswer, tokenText } from './paced-answer.ts'

/*
 * An OpenAI-style API that computes nothing: what a client gets without any relay, and what nginx relays. It sends the
 * same bytes as the pool, from the same writer, in the same rhythm (mock-worker.ts): role and first token in one write,
 * then one write a token.
 */

type Body = { readonly model: string; readonly max_tokens: number; readonly top_p: number }

const encoder = new TextEncoder()

function answer({ model, max_tokens: tokens, top_p: intervalS }: Body): Response {
  const writer = new ChatChunkWriter({
    jobId: crypto.randomUUID(),
    model,
    createdS: Math.floor(Date.now() / 1_000),
    choice: 0,
    includeUsage: false,
    tier: null,
  })
  const token = writer.segment({ kind: 'answer', text: tokenText }) ?? ''
  const first = encoder.encode(writer.role(undefined) + token)
  const later = encoder.encode(token)
  const end = encoder.encode(writer.finish('length') + doneLine)
  let stop = () => {}
  const body = new ReadableStream<Uint8Array>({
    start: controller => {
      stop = paceAnswer(
        { tokens, intervalMs: intervalS * 1_000 },
        index => controller.enqueue(index === 0 ? first : later),
        () => {
          controller.enqueue(end)
          controller.close()
        },
      )
    },
    cancel: () => stop(),
  })
  return new Response(body, {
    headers: { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' },
  })
}

const server = Bun.serve({
  hostname: '127.0.0.1',
  port: 0,
  idleTimeout: 60,
  fetch: async request => answer((await request.json()) as Body),
})
say({ event: 'ready', port: server.port })
