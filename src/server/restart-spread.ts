/** An agent that connects costs the server 2 ms of CPU (`bun run bench agents`); half of its time is for everything else. */
const msPerAgent = 4
/** The process needs a moment to start again. */
const earliestMs = 500
const latestMinMs = 5_000
/** Whoever waits longer is missed by its clients; with more agents the server is simply busy for a while. */
const latestMaxMs = 120_000

/**
 * Between which delays agents draw the moment of their return after an announced restart, so that they do not all come at
 * once.
 * @param agents that are connected now
 */
export const restartSpread = (
  agents: number,
): { readonly minMs: number; readonly maxMs: number } => ({
  minMs: earliestMs,
  maxMs: Math.min(latestMaxMs, Math.max(latestMinMs, earliestMs + msPerAgent * agents)),
})
