import { createServer } from 'node:net'
import { BenchProcess } from '../harness/bench-process.ts'
import { CannotRun } from '../harness/context.ts'
import type { Batches, Question, Side, SideModel, TimedAnswer } from './side.ts'

const loadMsMax = 120_000
const lookMs = 100

type Chunk = {
  readonly choices: readonly { readonly delta: { readonly content?: string | null } }[]
  readonly usage?: {
    readonly prompt_tokens: number
    readonly completion_tokens: number
    readonly prompt_tokens_details?: { readonly cached_tokens?: number }
  } | null
}

/** llama.cpp's own server as it comes, but for the sizes and its metrics. */
export class LlamaServer implements Side {
  readonly #process: BenchProcess
  readonly #url: string

  private constructor(process: BenchProcess, url: string) {
    this.#process = process
    this.#url = url
  }

  static async start(executable: string, model: SideModel, folder: string): Promise<LlamaServer> {
    const port = await freePort()
    const threads = String(model.threads)
    const process = new BenchProcess({
      name: 'llama-server',
      executable,
      args: Object.entries({
        '--model': model.modelPath,
        '--host': '127.0.0.1',
        '--port': String(port),
        '--parallel': String(model.slots),
        '--ctx-size': String(model.slots * model.contextTokens),
        '--threads': threads,
        '--threads-batch': threads,
      })
        .flat()
        .concat('--metrics'),
      env: {},
      folder,
      cpu: null,
    })
    const server = new LlamaServer(process, `http://127.0.0.1:${port}`)
    await server.#loaded()
    return server
  }

  get pid(): number {
    return this.#process.pid
  }

  async ask({ messages, tokensMax, shares, signal, onPiece }: Question): Promise<TimedAnswer> {
    const askedAt = performance.now()
    const pieceAt: number[] = []
    let [text, tokens, promptTokens, cachedTokens] = ['', 0, 0, 0]
    try {
      const response = await fetch(`${this.#url}/v1/chat/completions`, {
        method: 'POST',
        // It closes idle connections by itself, which a second request may run into.
        keepalive: false,
        body: JSON.stringify({
          messages,
          max_tokens: tokensMax,
          temperature: 0,
          ignore_eos: true,
          cache_prompt: shares,
          stream: true,
          stream_options: { include_usage: true },
        }),
        ...(signal !== undefined && { signal }),
      })
      if (!response.ok || response.body === null)
        throw new Error(`llama-server: ${response.status} ${await response.text()}`)
      for await (const { choices, usage } of chunksOf(response.body)) {
        const piece = choices[0]?.delta.content ?? ''
        if (usage) {
          promptTokens = usage.prompt_tokens
          tokens = usage.completion_tokens
          cachedTokens = usage.prompt_tokens_details?.cached_tokens ?? 0
        }
        if (piece === '') continue
        text += piece
        pieceAt.push(performance.now())
        onPiece?.()
      }
    } catch (error) {
      if (signal?.aborted !== true) throw error
    }
    return { askedAt, pieceAt, text, promptTokens, cachedTokens, tokens }
  }

  async batches(): Promise<Batches> {
    const text = await (await fetch(`${this.#url}/metrics`)).text()
    const metric = (name: string) => {
      const value = new RegExp(`^llamacpp:${name} (\\S+)`, 'm').exec(text)?.[1]
      if (value === undefined) throw new Error(`llama-server has no metric ${name}`)
      return Number(value)
    }
    const batches = metric('n_decode_total')
    return { batches, streams: batches * metric('n_busy_slots_per_decode'), streamsIfFull: null }
  }

  /** It says nothing on its output that can be waited for. */
  async #loaded(): Promise<void> {
    const ended = this.#process.exited.then(code => {
      throw new CannotRun(`llama-server ended with ${code} before it had loaded the model`)
    })
    const healthy = async () => {
      for (let waitedMs = 0; waitedMs < loadMsMax; waitedMs += lookMs) {
        const response = await fetch(`${this.#url}/health`).catch(() => null)
        if (response?.ok === true) return
        await Bun.sleep(lookMs)
      }
      throw new CannotRun(`llama-server did not load the model in ${loadMsMax / 1_000} s`)
    }
    await Promise.race([healthy(), ended])
    ended.catch(() => undefined)
  }
}

async function* chunksOf(body: ReadableStream<Uint8Array>): AsyncGenerator<Chunk> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const bytes of body) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines)
      if (line.startsWith('data: {')) yield JSON.parse(line.slice('data: '.length)) as Chunk
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise(resolve => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no free port')
  return address.port
}
