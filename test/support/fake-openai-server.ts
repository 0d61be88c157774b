/** A request's body as far as the fake looks at it. */
export type FakeRequest = {
  readonly model: string
  readonly messages: readonly { readonly role: string; readonly content: string | null }[]
  readonly seed: number
  readonly temperature: number
  readonly max_tokens?: number
  readonly stop?: readonly string[]
  readonly tools?: readonly object[]
}

export type FakeOptions = {
  /** By what it can be recognised. */
  readonly kind?: 'llama-server' | 'vllm' | 'ollama' | 'plain'
  readonly port?: number
  readonly contextTokens?: number
  readonly slots?: number
  readonly apiKey?: string
}

const answers: Readonly<Record<string, string>> = {
  'What is a GPU pool?':
    'A GPU pool joins the graphics cards of many ordinary computers so that they can answer requests together.',
  hello: 'Hello! How can I help you?',
  Hello: 'Hello!',
  'Who are you?': 'I am a server that only pretends, so that tests need no model.',
  'How do agents connect?': 'They dial out and are never dialled.',
}
const storyWords = ['once', 'there', 'was', 'a', 'laptop', 'that', 'dreamt', 'of', 'a', 'rack']
const storyLength = 400

/**
 * An OpenAI-compatible server over real HTTP that knows a few answers by heart: one event a word, one event a turn of the
 * event loop. A test can answer a request itself (`answer`), to do what a broken engine does.
 */
export class FakeOpenAiServer {
  readonly #options: FakeOptions
  readonly #server: Bun.Server<undefined>
  readonly port: number
  readonly url: string
  readonly requests: FakeRequest[] = []
  /** Paths that were asked for, with the method. */
  readonly paths: string[] = []
  /** Takes the place of the usual answer; null: the usual one. */
  answer: ((request: FakeRequest, signal: AbortSignal) => Response | Promise<Response>) | null =
    null
  /** What it says it serves. */
  models: readonly string[] = ['demo']
  digest = 'sha256:1234'
  /** Requests whose client went away in mid-answer. */
  aborted = 0

  constructor(options: FakeOptions = {}) {
    this.#options = options
    this.#server = Bun.serve({
      hostname: '127.0.0.1',
      port: options.port ?? 0,
      idleTimeout: 0,
      // Else an answer that is broken on purpose is reported as a mistake.
      development: false,
      fetch: request => this.#fetch(request),
    })
    this.port = this.#server.port ?? 0
    this.url = `http://127.0.0.1:${this.port}/v1`
  }

  /** Ends it in the middle of whatever it does. */
  async stop(): Promise<void> {
    await this.#server.stop(true)
  }

  async #fetch(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url)
    this.paths.push(`${request.method} ${pathname}`)
    const { kind = 'llama-server', apiKey } = this.#options
    if (apiKey !== undefined && request.headers.get('authorization') !== `Bearer ${apiKey}`)
      return Response.json({ error: { message: 'wrong key' } }, { status: 401 })
    if (pathname === '/v1/models') return Response.json(this.#list(kind))
    if (pathname === '/props' && kind === 'llama-server') return Response.json(this.#props())
    if (pathname === '/api/tags' && kind === 'ollama') return Response.json(this.#tags())
    if (pathname !== '/v1/chat/completions') return new Response('no such page', { status: 404 })
    const body = (await request.json()) as FakeRequest
    this.requests.push(body)
    request.signal.addEventListener('abort', () => this.aborted++)
    if (this.answer !== null) return await this.answer(body, request.signal)
    return this.#complete(body)
  }

  #list(kind: string): object {
    const owner = { 'llama-server': 'llamacpp', vllm: 'vllm', ollama: 'library' }[kind]
    const { contextTokens = 1_024 } = this.#options
    return {
      object: 'list',
      data: this.models.map(id => ({
        id,
        object: 'model',
        ...(owner !== undefined && { owned_by: owner }),
        ...(kind === 'vllm' && { max_model_len: contextTokens, root: `org/${id}` }),
      })),
    }
  }

  #props(): object {
    const { contextTokens = 1_024, slots = 4 } = this.#options
    return {
      default_generation_settings: { n_ctx: contextTokens },
      total_slots: slots,
      model_path: 'demo.gguf',
      build_info: 'b1-fake',
    }
  }

  #tags(): object {
    return {
      models: this.models.map(name => ({
        name,
        digest: this.digest,
        ...(name.endsWith('-cloud') && { remote_host: 'https://example.org' }),
      })),
    }
  }

  #complete(body: FakeRequest): Response {
    const text = body.messages.map(({ content }) => content ?? '').join(' ')
    const promptTokens = 8 + text.split(/\s+/).length
    const { contextTokens = 1_024 } = this.#options
    if (promptTokens > contextTokens) {
      const type = 'exceed_context_size_error'
      const error = { code: 400, type, message: `the request exceeds the context size` }
      return Response.json({ error }, { status: 400 })
    }
    return eventStream([...chunksOf(body), usage(promptTokens), '[DONE]'])
  }
}

/** The chunks of a whole answer, the reason at its end included. */
function chunksOf(body: FakeRequest): readonly object[] {
  const asked = body.messages.at(-1)?.content ?? ''
  if (body.tools !== undefined && asked.includes('weather'))
    return [...toolCall, ended('tool_calls')]
  const whole = answers[asked] ?? story(body)
  const cut = (body.stop ?? [])
    .map(text => whole.indexOf(text))
    .filter(at => at !== -1)
    .reduce((first, at) => Math.min(first, at), whole.length)
  const pieces = whole.slice(0, cut).match(/\s*\S+\s*$|\s*\S+/g) ?? []
  const wanted = pieces.slice(0, body.max_tokens)
  return [
    { choices: [{ index: 0, delta: { role: 'assistant', content: null }, finish_reason: null }] },
    ...wanted.map(content),
    ended(wanted.length < pieces.length ? 'length' : 'stop'),
  ]
}

/** Another one for every seed, unless it is greedy. */
function story({ seed, temperature }: FakeRequest): string {
  let state = temperature === 0 ? 1 : seed
  const words = Array.from({ length: storyLength }, () => {
    state = (state * 48_271 + 11) % 2_147_483_647
    return storyWords[state % storyWords.length]
  })
  return words.join(' ')
}

const toolCall: readonly object[] = [
  delta({ tool_calls: [call({ id: 'call_1', function: { name: 'get_current_weather' } })] }),
  delta({ tool_calls: [call({ function: { arguments: '{"city":' } })] }),
  delta({ tool_calls: [call({ function: { arguments: '"Paris"}' } })] }),
]

function call(part: object): object {
  return { index: 0, type: 'function', ...part }
}

export function delta(what: object): object {
  return { choices: [{ index: 0, delta: what, finish_reason: null }] }
}

export const content = (text: string): object => delta({ content: text })

export const ended = (reason: string): object => ({
  choices: [{ index: 0, delta: {}, finish_reason: reason }],
})

export const usage = (promptTokens: number): object => ({
  choices: [],
  usage: { prompt_tokens: promptTokens, completion_tokens: 1, total_tokens: promptTokens + 1 },
})

/**
 * Events as an event stream, one a turn of the event loop.
 * @param then what comes behind them: `close`, `hang` (nothing, ever), or `break` (the connection is cut)
 */
export function eventStream(
  events: readonly (object | string)[],
  then: 'close' | 'hang' | 'break' = 'close',
): Response {
  const lines = events.map(event =>
    typeof event === 'string' ? `data: ${event}\n\n` : `data: ${JSON.stringify(event)}\n\n`,
  )
  return byteStream(
    lines.map(line => new TextEncoder().encode(line)),
    then,
  )
}

export function byteStream(
  pieces: readonly Uint8Array[],
  then: 'close' | 'hang' | 'break' = 'close',
): Response {
  let next = 0
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      await new Promise(resolve => setImmediate(resolve))
      const piece = pieces[next++]
      if (piece !== undefined) controller.enqueue(piece)
      else if (then === 'close') controller.close()
      else if (then === 'break') controller.error(new Error('broken on purpose'))
      else await new Promise(() => {})
    },
  })
  return new Response(body, { headers: { 'content-type': 'text/event-stream' } })
}
