import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Clock } from '../clock.ts'
import { startSystemTimer } from './api/timer.ts'
import { createApp } from './app.ts'
import { loadAdminKey } from './auth/admin-key.ts'
import type { Config } from './config.ts'
import { DownloadFiles } from './download/download-files.ts'
import { createJoinLink } from './enrolment/enrol.ts'
import { Listeners } from './listeners.ts'
import type { Log } from './log.ts'
import { Webhook } from './notify/webhook.ts'
import { assemblePool, type Pool } from './pool/assemble-pool.ts'
import { housekeepingIntervalMs, keepHouse } from './pool/housekeeping.ts'
import { restartSpread } from './restart-spread.ts'
import { openStore } from './store/open-store.ts'
import { isStoreRefusal } from './store/store-refusal.ts'
import type { Store } from './store/store.ts'
import { every, everyKnowing, streamTickIntervalMs, tickIntervalMs } from './timers.ts'
import { loadTlsIdentity } from './tls/authority.ts'
import { likelyAddress, serverNames } from './tls/server-names.ts'

/** Heartbeats and history reach the database this often. */
const registryFlushIntervalMs = 5_000
/** A database that hangs must not keep the process from ending. */
const drainTimeoutMs = 5_000

export type RunningServer = {
  readonly apiUrl: string
  readonly enrolUrl: string
  readonly controlPort: number
  /** Tells agents and clients, commits what is pending, closes everything. */
  stop(): Promise<void>
}

/** Why the server does not start: something for the operator to do, in words. */
export type StartRefusal = { readonly problem: string }

type Surroundings = { readonly clock: Clock; readonly log: Log }

/**
 * Puts a whole server together and opens its three listeners: agents, enrolment, API.
 * @returns the running server, or what stands in the way; then nothing is left open
 */
export async function startServer(
  config: Config,
  surroundings: Surroundings,
): Promise<RunningServer | StartRefusal> {
  try {
    await mkdir(config.dataDir, { recursive: true, mode: 0o700 })
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    return { problem: `the data directory cannot be made (${reason}); see GPUPOOL_DATA_DIR` }
  }
  const adminKey = await loadAdminKey(config.dataDir, config.adminKey)
  if (typeof adminKey === 'string') return { problem: adminKey }
  const store = await openStore(config)
  if (isStoreRefusal(store)) return { problem: store.message }
  const outcome = await startOver(store, config, adminKey.key, surroundings)
  if ('problem' in outcome) await store.close()
  return outcome
}

async function startOver(
  store: Store,
  config: Config,
  adminKey: string,
  { clock, log }: Surroundings,
): Promise<RunningServer | StartRefusal> {
  const tls = await loadTlsIdentity(config.dataDir, serverNames(config.publicUrl), clock.now())
  const where = { origin: '', caFingerprint: tls.caFingerprint }
  const webhook = openWebhook(config, { clock, log })
  const pool = await assemblePool({
    hedge: config.hedge,
    clock,
    log,
    store,
    send: event => webhook?.send(event),
    createJoinLink: options => createJoinLink({ clock, store }, where, options),
  })
  const { dispatcher: inference, metrics, poolAdmin } = pool
  const downloads = new DownloadFiles(downloadDirs(config))
  const routes = { inference, poolAdmin, metrics, downloads, adminKey }
  const app = createApp({ config, store, clock, log, ...routes })
  const openApi = (hostname: string, port: number) => {
    const { server } = app.listen({ hostname, port })
    return { port: server?.port ?? port, stop: async () => server?.stop(true) }
  }
  const origin = () => where.origin
  const needs = { config, clock, log, store, tls, pool, downloads, origin, openApi }
  const listeners = await Listeners.open(needs)
  if (!(listeners instanceof Listeners)) return listeners
  where.origin = config.publicUrl ?? `https://${reachable(config.agentHost)}:${listeners.enrolPort}`
  const stop = running(store, pool, listeners, { clock, log })
  const apiUrl = `http://${urlHost(config.apiHost)}:${listeners.apiPort}`
  await writeFile(join(config.dataDir, 'api.url'), `${apiUrl}\n`)
  return {
    apiUrl,
    enrolUrl: where.origin,
    controlPort: listeners.control.port,
    stop: async () => {
      await stop()
      webhook?.stop()
    },
  }
}

const openWebhook = (
  { webhookUrl: url, webhookSecret: secret }: Config,
  { clock, log }: Surroundings,
): Webhook | null =>
  url === null ? null : new Webhook({ url, secret, clock, log, startTimer: startSystemTimer })

/** Starts the clockwork. @returns how to stop everything */
function running(
  store: Store,
  pool: Pool,
  listeners: Listeners,
  { clock }: Surroundings,
): () => Promise<void> {
  const watching = everyKnowing(clock, streamTickIntervalMs, dueAt => pool.dispatcher.tick(dueAt))
  const ticking = every(tickIntervalMs, () => {
    pool.reliability.tick(clock.now())
    listeners.control.tick()
  })
  const flushing = every(registryFlushIntervalMs, () => void pool.registry.flush())
  const tidyUp = () => {
    pool.agents.tellMissing(clock.now())
    void keepHouse(store, clock.now()).catch((error: unknown) =>
      pool.databaseFailed('old records could not be deleted', error),
    )
  }
  tidyUp()
  const tidying = every(housekeepingIntervalMs, tidyUp)
  return async () => {
    for (const timer of [watching, ticking, flushing, tidying]) timer.stop()
    const { minMs, maxMs } = restartSpread(pool.agents.size)
    pool.agents.sendAll({
      type: 'restarting',
      reconnectAfterMinMs: minMs,
      reconnectAfterMaxMs: maxMs,
    })
    pool.dispatcher.shutDown()
    await pool.settlement.drained(drainTimeoutMs)
    await listeners.close()
    await pool.registry.flush()
    await store.close()
  }
}

/** Where the files lie that contributors fetch: where the operator says, else in the data directory or fresh builds. */
const downloadDirs = ({ downloadDir, dataDir }: Config): readonly string[] =>
  downloadDir === null
    ? [join(dataDir, 'download'), fileURLToPath(new URL('../../dist/agent', import.meta.url))]
    : [downloadDir]

/** What a join link names when the operator has not said it: loopback stays loopback, else this machine's address. */
const reachable = (agentHost: string): string =>
  agentHost === '0.0.0.0' || agentHost === '::' ? likelyAddress() : urlHost(agentHost)

const urlHost = (host: string): string => (host.includes(':') ? `[${host}]` : host)
