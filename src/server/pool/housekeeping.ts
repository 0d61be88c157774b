import type { Instant } from '../../clock.ts'
import type { Store } from '../store/store.ts'

const dayMs = 86_400_000
/** Single requests are kept this long, for questions about them; what they add up to is kept for ever. */
const requestsKeptMs = 90 * dayMs
const historyKeptMs = 90 * dayMs
/** However many machines have trouble. */
const eventsMax = 10_000
/** A link that has expired is still told apart from one that never was for a while. */
const expiredJoinTokensKeptMs = 7 * dayMs

/** Bounds the tables that would grow for ever. Called at start and then every `housekeepingIntervalMs`. */
export const keepHouse = (store: Store, now: Instant): Promise<void> =>
  store.prune({
    requestsEnded: now - requestsKeptMs,
    history: now - historyKeptMs,
    events: now - historyKeptMs,
    eventsMax,
    joinTokensExpired: now - expiredJoinTokensKeptMs,
  })

export const housekeepingIntervalMs = 3_600_000
