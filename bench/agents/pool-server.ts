import { systemClock } from '../../src/clock.ts'
import { loadConfig } from '../../src/server/config.ts'
import { createLog } from '../../src/server/log.ts'
import { startServer } from '../../src/server/start-server.ts'
import { say } from '../harness/orders.ts'
import { collectOnOrder } from './collect-on-order.ts'

/*
 * The whole server as src/server/main.ts starts it, but told to collect garbage when its memory is to be measured:
 * without that the figure is mostly about when the collector last ran.
 */

const outcome = loadConfig(process.env)
if ('problems' in outcome) throw new Error(outcome.problems.join('; '))
const { config } = outcome
const log = createLog({ level: config.logLevel, pretty: false, clock: systemClock })
const server = await startServer(config, { clock: systemClock, log })
if ('problem' in server) throw new Error(server.problem)
const { apiUrl, controlPort } = server
process.once('SIGTERM', () => void server.stop().then(() => process.exit(0)))
say({ event: 'ready', apiUrl, controlPort })
await collectOnOrder()
