import { lookup } from 'node:dns/promises'
import { connect as connectTcp } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { Clock } from '../../clock.ts'
import { fetchCatalogue, type FetchedCatalogue } from '../fetch-catalogue.ts'
import type { Enrolment } from '../state-dir.ts'
import type { Timers } from '../timers.ts'
import type { ClockFacts, Outcome, PoolAnswer, PortFacts, ServerFacts } from './check-server.ts'
import { within } from './told.ts'

export type GatheredServer = {
  readonly facts: ServerFacts
  /** What the pool serves, when it told. */
  readonly catalogue: Extract<FetchedCatalogue, { type: 'catalogue' }>['catalogue'] | null
}

/** For one step; a server that is further than this is of no use either. */
const stepMs = 5_000

export type ServerTools = {
  readonly timers: Timers
  /** This machine's time of day, for the comparison with the server's. */
  readonly wallClock: Clock
}

/** Goes the way to the server step by step. Nothing of ours is said on a connection that is not verified. */
export async function gatherServer(
  enrolment: Enrolment,
  tools: ServerTools,
): Promise<GatheredServer> {
  const { identity, caPem } = enrolment
  const url = new URL(identity.origin)
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const name = await step(tools.timers, async () => void (await lookup(host)))
  const ports = await Promise.all(
    [
      { port: Number(url.port || 443), use: 'enrolment' as const },
      { port: identity.controlPort, use: 'control' as const },
    ].map(async ({ port, use }): Promise<PortFacts> => {
      if (name.problem !== null) return { port, use, reached: null, trusted: null }
      const reached = await step(tools.timers, () => openTcp(host, port))
      if (reached.problem !== null) return { port, use, reached, trusted: null }
      return {
        port,
        use,
        reached,
        trusted: await step(tools.timers, () => openTls(host, port, caPem)),
      }
    }),
  )
  const [enrolmentPort] = ports
  const reached = enrolmentPort?.reached?.problem === null
  const clock: ClockFacts = { aheadMs: reached ? await aheadMs(identity.origin, tools) : null }
  const verified = enrolmentPort?.trusted?.problem === null
  const fetched = verified ? await fetchCatalogue(enrolment, timeout(tools.timers, stepMs)) : null
  return {
    facts: { host, name, ports, clock, pool: poolAnswer(fetched) },
    catalogue: fetched?.type === 'catalogue' ? fetched.catalogue : null,
  }
}

async function step(timers: Timers, work: () => Promise<void>): Promise<Outcome> {
  const told = await within(timers, stepMs, work)
  if (told.type === 'told') return { problem: null }
  return {
    problem: told.type === 'overdue' ? `no answer within ${stepMs / 1000} s` : told.reason,
  }
}

function openTcp(host: string, port: number): Promise<void> {
  return new Promise((settle, fail) => {
    const socket = connectTcp({ host, port }, () => {
      socket.destroy()
      settle()
    })
    socket.on('error', fail)
  })
}

/** Shakes hands whoever it is and then asks whether the pool's authority vouches for it, so that the reason is told. */
function openTls(host: string, port: number, ca: string): Promise<void> {
  return new Promise((settle, fail) => {
    const socket = connectTls({ host, port, ca, rejectUnauthorized: false }, () => {
      const { authorized, authorizationError } = socket
      socket.destroy()
      if (authorized) settle()
      else fail(new Error(String(authorizationError)))
    })
    socket.on('error', fail)
  })
}

/**
 * Compares the clocks by the Date header. The connection is not verified, because a wrong clock is a reason for it not
 * to be: nothing is said on it, and its answer decides nothing.
 */
async function aheadMs(origin: string, { timers, wallClock }: ServerTools): Promise<number | null> {
  const askedAt = wallClock.now()
  const told = await within(timers, stepMs, async () => {
    const response = await fetch(`${origin}/ca`, {
      tls: { rejectUnauthorized: false },
      redirect: 'manual',
      signal: timeout(timers, stepMs),
    })
    await response.body?.cancel()
    return Date.parse(response.headers.get('date') ?? '')
  })
  if (told.type !== 'told' || !Number.isFinite(told.facts)) return null
  return Math.round((askedAt + wallClock.now()) / 2 - told.facts)
}

function poolAnswer(fetched: FetchedCatalogue | null): PoolAnswer | null {
  if (fetched?.type !== 'catalogue') return fetched
  const { models, leftOut } = fetched.catalogue
  return { type: 'accepted', models: models.length + leftOut }
}

/** The deadline of a request by the given timers. */
function timeout(timers: Timers, ms: number): AbortSignal {
  const abort = new AbortController()
  timers.after(ms, () => abort.abort(new Error(`no answer within ${ms / 1000} s`)))
  return abort.signal
}
