import type { Clock } from '../clock.ts'
import type { Config } from './config.ts'
import { AgentListener } from './control/agent-listener.ts'
import { checkIdentity } from './control/identity.ts'
import { startEnrolListener } from './enrolment/enrol-listener.ts'
import { enrol } from './enrolment/enrol.ts'
import type { Log } from './log.ts'
import type { Pool } from './pool/assemble-pool.ts'
import type { Store } from './store/store.ts'
import type { TlsIdentity } from './tls/authority.ts'

/** A port that another program has; `setting` chooses another one. */
export type PortTaken = { readonly port: number; readonly setting: string }

/** What each listener needs; the API's is opened by `openApi`, so that the order of opening stays in one place. */
export type ListenersDeps = {
  readonly config: Config
  readonly clock: Clock
  readonly log: Log
  readonly store: Store
  readonly tls: TlsIdentity
  readonly pool: Pool
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
  static async open(deps: ListenersDeps): Promise<Listeners | PortTaken> {
    const { config } = deps
    const stops: (() => Promise<void>)[] = []
    let opening: PortTaken = { port: config.agentPort, setting: 'GPUPOOL_AGENT_PORT' }
    try {
      const control = openControl(deps)
      stops.unshift(() => control.stop())
      opening = { ...opening, port: config.agentPort === 0 ? 0 : config.agentPort + 1 }
      const enrolment = openEnrolment(deps, opening.port, control.port)
      stops.unshift(() => enrolment.stop(true))
      opening = { port: config.apiPort, setting: 'GPUPOOL_PORT' }
      const api = deps.openApi(config.apiHost, config.apiPort)
      stops.unshift(() => api.stop())
      const ports = { enrolPort: enrolment.port ?? 0, apiPort: api.port }
      return new Listeners(control, ports, stops)
    } catch (error) {
      for (const stop of stops) await stop()
      if (error instanceof Error && 'code' in error && portErrors.has(String(error.code)))
        return opening
      throw error
    }
  }

  async close(): Promise<void> {
    for (const stop of this.#stops) await stop()
  }
}

/** The second one is a port below 1024 for an ordinary user. */
const portErrors = new Set(['EADDRINUSE', 'EACCES'])

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
  const { config, clock, log, store, tls, pool } = deps
  return startEnrolListener(
    {
      log,
      store,
      tls,
      catalogue: pool.catalogue,
      enrol: request => enrol({ clock, store, registry: pool.registry }, request, controlPort),
    },
    config.agentHost,
    port,
  )
}
