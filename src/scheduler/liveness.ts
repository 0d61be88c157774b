import type { Instant } from '../clock.ts'
import { limits } from '../protocol/limits.ts'

/**
 * How alive an agent looks. The colour is the only thing that moves work: green may get new work, yellow keeps what it
 * has, red loses it. `status` is what the specification's table shows; it lags behind on purpose (5.2: degraded after
 * one missed heartbeat, offline after three).
 */
export type AgentStanding = {
  readonly liveness: 'green' | 'yellow' | 'red'
  readonly status: 'online' | 'degraded' | 'offline'
}

/** What is known about an agent's signs of life. A plain value, so that tests and simulations move time by hand. */
export type Signs = {
  readonly connected: boolean
  /** The last heartbeat, or the hello when none has come yet. */
  readonly lastHeartbeatAt: Instant
  readonly pingLate: boolean
}

/**
 * @returns how the agent stands at `now`. A heartbeat counts as missed once it is `heartbeatGraceMs` late, so an agent
 * is degraded 35 s and offline 95 s after its last one.
 */
export function standingOf(signs: Signs, now: Instant): AgentStanding {
  const missed = heartbeatsMissed(signs.lastHeartbeatAt, now)
  const degraded = missed >= limits.heartbeatsMissedDegraded
  const status =
    missed >= limits.heartbeatsMissedOffline
      ? 'offline'
      : degraded || !signs.connected
        ? 'degraded'
        : 'online'
  const liveness = !signs.connected || degraded ? 'red' : signs.pingLate ? 'yellow' : 'green'
  return { liveness, status }
}

function heartbeatsMissed(lastAt: Instant, now: Instant): number {
  const late = now - lastAt - limits.heartbeatGraceMs
  return late < limits.heartbeatIntervalMs ? 0 : Math.floor(late / limits.heartbeatIntervalMs)
}
