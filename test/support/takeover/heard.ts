import type { Cluster } from '../cluster.ts'

/** What a client has of a streamed answer: every text and argument in full, however it was cut into chunks. */
export type Heard = {
  readonly jobId: string
  readonly content: string
  readonly toolCalls: readonly {
    readonly id: string
    readonly name: string
    readonly args: string
  }[]
  readonly logprobs: readonly unknown[]
  readonly finishReason: string | null
  readonly usage: Usage | null
  /** What the stream ended with instead. */
  readonly error: unknown
}

type Usage = { readonly prompt_tokens: number; readonly completion_tokens: number }

type Chunk = {
  readonly id: string
  readonly error?: unknown
  readonly usage?: Usage | null
  readonly choices?: readonly {
    readonly finish_reason?: string | null
    readonly logprobs?: { readonly content: readonly unknown[] } | null
    readonly delta: {
      readonly content?: string | null
      readonly tool_calls?: readonly {
        readonly index: number
        readonly id?: string
        readonly function?: { readonly name?: string; readonly arguments?: string }
      }[]
    }
  }[]
}

/** Asks as a client does and reads to the end of the stream. */
export async function ask(cluster: Cluster, request: object): Promise<Heard> {
  const body = { ...request, stream: true, stream_options: { include_usage: true } }
  const response = await cluster.request('POST', '/v1/chat/completions', body)
  const text = await response.text()
  if (!response.ok) throw new Error(`${response.status} ${text}`)
  const lines = text.split('\n\n').filter(line => line.startsWith('data: {'))
  const chunks = lines.map(line => JSON.parse(line.slice('data: '.length)) as Chunk)
  return heardOf(chunks)
}

function heardOf(chunks: readonly Chunk[]): Heard {
  let content = ''
  let finishReason: string | null = null
  const told: unknown[] = []
  const calls: { id: string; name: string; args: string }[] = []
  for (const { choices = [] } of chunks)
    for (const { delta, finish_reason, logprobs } of choices) {
      told.push(...(logprobs?.content ?? []))
      content += delta.content ?? ''
      finishReason = finish_reason ?? finishReason
      for (const part of delta.tool_calls ?? []) {
        const call = (calls[part.index] ??= { id: '', name: '', args: '' })
        call.id += part.id ?? ''
        call.name += part.function?.name ?? ''
        call.args += part.function?.arguments ?? ''
      }
    }
  return {
    jobId: (chunks[0]?.id ?? '').replace('chatcmpl-', ''),
    content,
    toolCalls: calls,
    logprobs: told,
    finishReason,
    usage: usageOf(chunks),
    error: chunks.find(chunk => chunk.error !== undefined)?.error ?? null,
  }
}

/** Without how much of the prompt was in a slot already: that is the machine's affair and not the answer's. */
function usageOf(chunks: readonly Chunk[]): Usage | null {
  const usage = chunks.findLast(chunk => (chunk.usage ?? null) !== null)?.usage ?? null
  if (usage === null) return null
  const { prompt_tokens, completion_tokens } = usage
  return { prompt_tokens, completion_tokens }
}
