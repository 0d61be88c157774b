import { systemClock } from '../../src/clock.ts'
import { limits } from '../../src/protocol/limits.ts'
import { loadTlsIdentity } from '../../src/server/tls/authority.ts'
import { say } from '../harness/orders.ts'
import { collectOnOrder } from './collect-on-order.ts'

/*
 * The floor: Bun's WebSockets under the same TLS settings and nothing behind them. It parses each heartbeat,
 * acknowledges it, pings as often as the pool does, and knows nobody.
 */

const dataDir = process.env['BENCH_DATA_DIR']
if (dataDir === undefined) throw new Error('BENCH_DATA_DIR is not set')
const { certPem, keyPem, caPem } = await loadTlsIdentity(dataDir, ['127.0.0.1'], systemClock.now())
const sockets = new Set<Bun.ServerWebSocket<undefined>>()
const server = Bun.serve<undefined>({
  hostname: '127.0.0.1',
  port: 0,
  // As the pool's: no session tickets.
  tls: { cert: certPem, key: keyPem, secureOptions: 0x4000 },
  fetch: (request, own) =>
    own.upgrade(request, { data: undefined }) ? undefined : new Response(null, { status: 426 }),
  websocket: {
    perMessageDeflate: false,
    sendPings: false,
    idleTimeout: 0,
    open: socket => {
      sockets.add(socket)
    },
    message: (socket, data) => {
      const { sequence } = JSON.parse(String(data)) as { sequence: number }
      socket.sendText(JSON.stringify({ type: 'heartbeat_ack', sequence }))
    },
    close: socket => {
      sockets.delete(socket)
    },
  },
})
setInterval(() => {
  for (const socket of sockets) socket.ping()
}, limits.pingIntervalMs)
say({ event: 'ready', port: server.port, caPem })
await collectOnOrder()
