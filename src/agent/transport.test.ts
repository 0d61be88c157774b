import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { encodeServerMessage } from '../protocol/codec.ts'
import { agentLimits } from './agent-limits.ts'
import { createTestAuthority, type TestAuthority } from './certificates-for-tests.ts'
import { processTimers } from './timers.ts'
import { Transport, type TransportEvent } from './transport.ts'

let authority: TestAuthority
let server: Bun.Server<undefined>
const heard: (string | Buffer)[] = []
let onHeard = () => {}
const closed = Promise.withResolvers<{ code: number; reason: string }>()

beforeAll(async () => {
  authority = await createTestAuthority()
  server = Bun.serve<undefined>({
    hostname: '127.0.0.1',
    port: 0,
    tls: await authority.issue('127.0.0.1'),
    fetch: (request, self) =>
      self.upgrade(request) ? undefined : new Response('', { status: 400 }),
    websocket: {
      message: (socket, data) => {
        heard.push(data)
        if (data === 'say something')
          socket.sendText(encodeServerMessage({ type: 'heartbeat_ack', sequence: 1 }))
        onHeard()
      },
      close: (_, code, reason) => closed.resolve({ code, reason }),
    },
  })
})
afterAll(() => server.stop(true))

/** A transport whose events can be waited for, one after the other. */
function create(caPem = authority.caPem, port = server.port) {
  const events: TransportEvent[] = []
  let wake = () => {}
  const transport = new Transport({
    url: `wss://127.0.0.1:${port}/agent`,
    caPem,
    timers: processTimers,
    onEvent: event => {
      events.push(event)
      wake()
    },
  })
  const next = async (): Promise<TransportEvent> => {
    while (events.length === 0) await new Promise<void>(resolve => (wake = resolve))
    return events.shift()!
  }
  return { transport, next }
}

describe('the socket', () => {
  test('carries text and bytes, and says goodbye with code and reason', async () => {
    const { transport, next } = create()
    transport.open(1)
    expect(await next()).toEqual({ type: 'socket_opened', socket: 1 })
    const both = new Promise<void>(resolve => {
      onHeard = () => heard.length === 2 && resolve()
    })
    transport.send(new Uint8Array([1, 2, 3]))
    transport.send('say something')
    await both
    expect(heard).toEqual([Buffer.from([1, 2, 3]), 'say something'])
    expect(await next()).toEqual({
      type: 'received',
      socket: 1,
      what: { type: 'heartbeat_ack', sequence: 1 },
    })
    transport.close(1, 1001, 'the agent stops')
    expect(await closed.promise).toEqual({ code: 1001, reason: 'the agent stops' })
    await transport.goodbyesSaid()
  })

  test("is not opened to a server that the pool's authority does not vouch for", async () => {
    const foreign = await createTestAuthority()
    const { transport, next } = create(foreign.caPem)
    transport.open(1)
    expect(await next()).toMatchObject({
      type: 'socket_closed',
      reason: expect.stringContaining('certificate'),
    })
  })

  test("is not opened to a server of another name, although the pool's authority vouches for it", async () => {
    const elsewhere = Bun.serve({
      hostname: '127.0.0.1',
      port: 0,
      tls: await authority.issue('elsewhere.example'),
      fetch: () => new Response(''),
    })
    const { transport, next } = create(authority.caPem, elsewhere.port)
    transport.open(1)
    expect(await next()).toMatchObject({
      type: 'socket_closed',
      reason: expect.stringMatching(/does not match|hostname|certificate/i),
    })
    await elsewhere.stop(true)
  })

  test('that is too far behind is given up', async () => {
    const { transport, next } = create()
    transport.open(7)
    await next()
    transport.send(new Uint8Array(2 * agentLimits.socketBufferedBytesMax))
    expect(await next()).toMatchObject({
      type: 'socket_closed',
      socket: 7,
      reason: expect.stringContaining('too slow'),
    })
    transport.send('dropped without an error')
  })
})
