import { Type } from 'typebox'
import { Value } from 'typebox/value'
import { readLines } from './lines.ts'
import type { PoolApi } from './pool-api.ts'

const Chunk = Type.Object({
  choices: Type.Array(
    Type.Object({
      delta: Type.Object({ content: Type.Optional(Type.Union([Type.String(), Type.Null()])) }),
    }),
  ),
})
const ErrorEvent = Type.Object({ error: Type.Object({ message: Type.String() }) })

/** What one line of the event stream brings. */
export type StreamLine =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'error'; readonly message: string }
  | { readonly type: 'done' }
  | { readonly type: 'other' }

export function parseStreamLine(line: string): StreamLine {
  if (!line.startsWith('data:')) return { type: 'other' }
  const data = line.slice('data:'.length).trim()
  if (data === '[DONE]') return { type: 'done' }
  const value: unknown = JSON.parse(data)
  if (Value.Check(ErrorEvent, value)) return { type: 'error', message: value.error.message }
  if (!Value.Check(Chunk, value)) return { type: 'other' }
  return { type: 'text', text: value.choices.map(choice => choice.delta.content ?? '').join('') }
}

/** Asks the pool and hands the answer on as it comes. @returns null when it came whole, else what went wrong */
export async function streamAnswer(
  api: PoolApi,
  question: { readonly model: string; readonly prompt: string; readonly outputTokensMax: number },
  onText: (text: string) => void,
): Promise<string | null> {
  const reply = await api.streamChat({
    model: question.model,
    messages: [{ role: 'user', content: question.prompt }],
    max_completion_tokens: question.outputTokensMax,
    temperature: 0,
  })
  if (!reply.ok) return reply.message
  if (reply.value.body === null) return 'the answer has no body'
  let problem: string | null = 'the answer broke off'
  try {
    await readLines(reply.value.body, line => {
      const parsed = parseStreamLine(line)
      if (parsed.type === 'text') onText(parsed.text)
      if (parsed.type === 'done' && problem === 'the answer broke off') problem = null
      if (parsed.type === 'error') problem = parsed.message
    })
  } catch (error) {
    if (!(error instanceof Error)) throw error
    return error.message
  }
  return problem
}
