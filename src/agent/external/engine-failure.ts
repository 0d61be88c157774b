import type { Failure } from '../../protocol/errors.ts'

/**
 * What an engine's refusal means for the pool. The engine's own message is never passed on: it may repeat the prompt.
 * @param status HTTP status; null: the error came in the middle of a stream
 * @param body the error's JSON, or what it was instead
 */
export function engineFailure(status: number | null, body: unknown): Failure {
  const { words, message } = errorOf(body)
  const where = status === null ? 'in mid-answer' : `with HTTP status ${status}`
  const what = words.length === 0 ? '' : ` (${words.join(', ')})`
  const text = `the engine refused ${where}${what}`
  if (isTooLong(status, [...words, message])) return { code: 'prompt_too_long', message: text }
  switch (status) {
    case 400:
    case 413:
    case 422:
      return { code: 'invalid_request', message: text }
    case 401:
    case 403:
      return { code: 'model_load_failed', message: `${text}; is GPUPOOL_AGENT_ENGINE_KEY right?` }
    case 404:
      return { code: 'model_load_failed', message: `${text}; it does not have the model any more` }
    case 429:
    case 503:
      return { code: 'agent_refused', message: text }
    case null:
    default:
      return { code: 'internal', message: text }
  }
}

/** A text of the engine's own code, and not of a user. */
const wordRegex = /^[A-Za-z][A-Za-z0-9_. -]{0,63}$/

function errorOf(body: unknown): { readonly words: readonly string[]; readonly message: string } {
  // Ollama and older vLLM send the fields without an envelope, or a text instead of them.
  const error: unknown = field(body, 'error') ?? body
  const words = [field(error, 'type'), field(error, 'code')].filter(
    word => typeof word === 'string' && wordRegex.test(word),
  )
  const message = typeof error === 'string' ? error : field(error, 'message')
  return { words: words.map(String), message: typeof message === 'string' ? message : '' }
}

function isTooLong(status: number | null, texts: readonly string[]): boolean {
  if (status !== null && status !== 400 && status !== 413 && status !== 422) return false
  return texts.some(text => /context.{0,20}(length|size|window)|prompt.{0,20}too.long/is.test(text))
}

const field = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined
