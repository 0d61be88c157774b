import { afterEach, expect, test } from 'bun:test'
import { TextStream, waitingTextUnitsMax } from './text-stream.ts'

/** One response over a real connection, since it is the kernel's buffers that the bound is about. */
class Exchange {
  gone = 0
  readonly stream = new TextStream(() => {
    this.gone++
    this.#onGone.resolve()
  })
  received = ''
  readonly #onGone = Promise.withResolvers<void>()
  readonly #closed = Promise.withResolvers<void>()
  readonly #server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    development: false,
    fetch: () => new Response(this.stream.body),
  })
  #client: Bun.Socket | null = null
  #onReceived: () => void = () => {}

  async open(): Promise<void> {
    this.#client = await Bun.connect({
      hostname: '127.0.0.1',
      port: this.#server.port ?? 0,
      socket: {
        data: (_, bytes) => {
          this.received += bytes.toString()
          this.#onReceived()
        },
        close: () => this.#closed.resolve(),
      },
    })
    this.#client.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n')
    this.stream.write('begin.')
    await this.receives('begin.')
  }

  async receives(text: string): Promise<void> {
    while (!this.received.includes(text))
      await new Promise<void>(resolve => {
        this.#onReceived = resolve
      })
  }

  pause(): void {
    this.#client?.pause()
  }

  resume(): void {
    this.#client?.resume()
  }

  hangUp(): void {
    this.#client?.terminate()
  }

  get clientClosed(): Promise<void> {
    return this.#closed.promise
  }

  get noticedGone(): Promise<void> {
    return this.#onGone.promise
  }

  async end(): Promise<void> {
    this.#client?.terminate()
    await this.#server.stop(true)
  }
}

const exchanges: Exchange[] = []
async function openExchange(): Promise<Exchange> {
  const exchange = new Exchange()
  exchanges.push(exchange)
  await exchange.open()
  return exchange
}
afterEach(async () => {
  for (const exchange of exchanges.splice(0)) await exchange.end()
})

const chunk = 'x'.repeat(64 * 1024)
const lastChunk = '0\r\n\r\n'

/** Writes until the kernel takes no more. @returns the chunks it took */
function stall({ stream }: Exchange): number {
  let chunks = 0
  while (stream.idle && chunks < 1_000) {
    stream.write(chunk)
    chunks++
  }
  expect(stream.idle).toBe(false)
  return chunks
}

test('what is written arrives at once, and the end is an end', async () => {
  const exchange = await openExchange()
  exchange.stream.write('next.')
  await exchange.receives('next.')
  exchange.stream.close()
  await exchange.receives(lastChunk)
  expect(exchange.gone).toBe(0)
})

test('nothing waits for something else to happen: not what comes by itself, nor by another connection', async () => {
  const exchange = await openExchange()
  setImmediate(() => exchange.stream.write('by itself.'))
  await exchange.receives('by itself.')
  const socket = Bun.serve<undefined>({
    hostname: '127.0.0.1',
    port: 0,
    fetch: (request, server) => (server.upgrade(request) ? undefined : new Response()),
    websocket: { message: (_, text) => exchange.stream.write(String(text)) },
  })
  const agent = new WebSocket(`ws://127.0.0.1:${socket.port}`)
  agent.onopen = () => agent.send('by an agent.')
  await exchange.receives('by an agent.')
  agent.close()
  await socket.stop(true)
})

test('several writes of one moment are one piece', async () => {
  const exchange = await openExchange()
  for (const word of ['one ', 'two ', 'three']) exchange.stream.write(word)
  await exchange.receives('three')
  expect(exchange.received).toContain('d\r\none two three\r\n')
})

test('a client that stops reading for a while gets everything, in order', async () => {
  const exchange = await openExchange()
  exchange.pause()
  stall(exchange)
  for (let i = 0; i < 100; i++) exchange.stream.write(`[${i}]`)
  exchange.stream.close()
  expect(exchange.stream.idle).toBe(false)
  exchange.resume()
  await exchange.receives(lastChunk)
  const numbers = [...exchange.received.matchAll(/\[(\d+)\]/g)].map(match => Number(match[1]))
  expect(numbers).toEqual(Array.from({ length: 100 }, (_, i) => i))
  expect(exchange.gone).toBe(0)
})

test('a client that never reads is cut off at the bound', async () => {
  const exchange = await openExchange()
  exchange.pause()
  stall(exchange)
  let units = 0
  while (exchange.gone === 0 && units < 2 * waitingTextUnitsMax) {
    exchange.stream.write(chunk)
    units += chunk.length
  }
  expect(units).toBeLessThanOrEqual(waitingTextUnitsMax + chunk.length)
  exchange.stream.write('too late')
  exchange.resume()
  await exchange.clientClosed
  expect(exchange.received).not.toContain('too late')
  expect(exchange.received).not.toContain(lastChunk)
  expect(exchange.gone).toBe(1)
})

test('a client that hangs up is noticed once, stalled or not', async () => {
  for (const stalled of [false, true]) {
    const exchange = await openExchange()
    if (stalled) {
      exchange.pause()
      stall(exchange)
    }
    exchange.hangUp()
    await exchange.noticedGone
    exchange.stream.write('nobody reads this')
    exchange.stream.close()
    exchange.stream.cut('again')
    expect(exchange.gone).toBe(1)
  }
})

test('an answer that was cut off does not look whole', async () => {
  const exchange = await openExchange()
  exchange.stream.cut('the pool gave up')
  await exchange.clientClosed
  expect(exchange.received).not.toContain(lastChunk)
})

test('an answer that was cut off before anybody asked for it fails', async () => {
  const stream = new TextStream(() => {})
  stream.write('a')
  stream.cut('the pool gave up')
  await expect(new Response(stream.body).text()).rejects.toThrow('the pool gave up')
})
