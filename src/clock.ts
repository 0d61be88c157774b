/**
 * A point in time: milliseconds since the Unix epoch. Within one process it never runs backwards, so differences
 * of two instants are durations; between machines it is never compared (clocks of other people's machines are wrong).
 */
export type Instant = number

/** The only source of time. Everything that decides takes `now: Instant` instead of a clock. */
export type Clock = { now(): Instant }

/** A constant, but asking for it costs as much as asking for the time. */
const processStartAt = performance.timeOrigin

/** Monotonic: the wall clock at process start plus the monotonic time since, so that an NTP step moves nothing. */
export const systemClock: Clock = {
  now: () => processStartAt + performance.now(),
}

/**
 * The wall clock. It runs on while the machine sleeps (the monotonic clock stands still then on Linux and macOS) and
 * jumps when somebody sets it, so it is good for one thing: noticing that time has passed unseen.
 */
export const wallClock: Clock = { now: () => Date.now() }
