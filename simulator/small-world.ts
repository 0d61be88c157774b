/** Worlds that take milliseconds, so that there can be many of them. */

/** From 1 to 8, by the seed. */
export const agentsOf = (seed: number): number => 1 + (Math.imul(seed, 0x9e3779b1) >>> 29)

/** Simulated time in which things go wrong. */
export const shortHours = 0.03
