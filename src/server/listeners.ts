import type { Clock } from '../clock.ts'
import type { Config } from './config.ts'
import { AgentListener } from './control/agent-listener.ts'
import { checkIdentity } from './control/identity.ts'
import type { DownloadFiles } from './download/download-files.ts'
import { startEnrolListener } from './enrolment/enrol-listener.ts'
import { enrol } from './enrolment/enrol.ts'
import type { Log } from './log.ts'
import type { Pool } from './pool/assemble-pool.ts'
import type { Store } from './store/store.ts'
import type { TlsIdentity } from './tls/authority.ts'

/** Why a listener cannot be opened, with the setting that changes it. */
export type CannotListen = { readonly problem: string }

/** What was being opened when it failed. */
type Opening = {
  readonly host: string
  readonly port: number
  readonly hostSetting: string
  readonly portSetting: string
}

/** What each listener needs; the API's is opened by `openApi`, so that the order of opening stays in one place. */
export type ListenersDeps = {
  readonly config: Config
  readonly clock: Clock
  readonly log: Log
  readonly store: Store
  readonly tls: TlsIdentity
  readonly pool: Pool
  readonly downloads: DownloadFiles
  /** What join links name; known once the listeners are open. */
  readonly origin: () => string
  readonly openApi: (host: string, port: number) => ApiListener
}

type ApiListener = { readonly port: number; stop(): Promise<void> }

/** The three sockets that a server listens on. */
export class Listeners {
  readonly control: AgentListener
  readonly enrolPort: number
  readonly apiPort: number
  readonly #stops: readonly (() => Promise<void>)[]

  private constructor(
    control: AgentListener,
    ports: { readonly enrolPort: number; readonly apiPort: number },
    stops: readonly (() => Promise<void>)[],
  ) {
    this.control = control
    this.enrolPort = ports.enrolPort
    this.apiPort = ports.apiPort
    this.#stops = stops
  }

  /** Opens all three, agents' first and the API's last, so that a client finds a pool behind it; or none. */
  static async open(deps: ListenersDeps): Promise<Listeners | CannotListen> {
    const { config } = deps
    const stops: (() => Promise<void>)[] = []
    let opening: Opening = {
      host: config.agentHost,
      port: config.agentPort,
      hostSetting: 'GPUPOOL_AGENT_HOST',
      portSetting: 'GPUPOOL_AGENT_PORT',
    }
    try {
      const control = openControl(deps)
      stops.unshift(() => control.stop())
      opening = { ...opening, port: config.agentPort === 0 ? 0 : config.agentPort + 1 }
      const enrolment = openEnrolment(deps, opening.port, control.port)
      stops.unshift(() => enrolment.stop(true))
      opening = {
        host: config.apiHost,
        port: config.apiPort,
        hostSetting: 'GPUPOOL_HOST',
        portSetting: 'GPUPOOL_PORT',
      }
      const api = deps.openApi(config.apiHost, config.apiPort)
      stops.unshift(() => api.stop())
      const ports = { enrolPort: enrolment.port ?? 0, apiPort: api.port }
      return new Listeners(control, ports, stops)
    } catch (error) {
      for (const stop of stops) await stop()
      const problem = explain(error, opening)
      if (problem === null) throw error
      return { problem }
    }
  }

  async close(): Promise<void> {
    for (const stop of this.#stops) await stop()
  }
}

/** @returns the operator's mistake in words; null: it is none */
function explain(error: unknown, opening: Opening): string | null {
  const { port, portSetting } = opening
  if (!(error instanceof Error && 'code' in error)) return null
  switch (error.code) {
    case 'EADDRINUSE':
      return `port ${port} is taken by another program; stop it, or choose another port with ${portSetting}`
    case 'EACCES':
      return `port ${port} is not allowed to this user; choose one above 1023 with ${portSetting}`
    case 'EADDRNOTAVAIL':
      return notOurs(opening)
    default:
      // For a host name that does not resolve Bun names whatever error came before: EINVAL, but EEXIST was seen too.
      return 'syscall' in error && error.syscall === 'listen' ? notOurs(opening) : null
  }
}

const notOurs = ({ host, hostSetting }: Opening): string =>
  `${host} is no address of this machine; choose one of its own with ${hostSetting}`

function openControl({ config, clock, log, store, tls, pool }: ListenersDeps): AgentListener {
  return new AgentListener(
    {
      clock,
      log,
      tls,
      dispatcher: pool.dispatcher,
      checkIdentity: proof => checkIdentity(store, proof),
    },
    config.agentHost,
    config.agentPort,
  )
}

function openEnrolment(deps: ListenersDeps, port: number, controlPort: number) {
  const { config, clock, log, store, tls, pool, downloads, origin } = deps
  return startEnrolListener(
    {
      log,
      store,
      tls,
      catalogue: pool.catalogue,
      downloads,
      origin,
      enrol: request => enrol({ clock, store, registry: pool.registry }, request, controlPort),
    },
    config.agentHost,
    port,
  )
}
