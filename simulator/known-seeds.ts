import type { SeedOptions } from './run-seed.ts'
import { agentsOf, shortHours } from './small-world.ts'

/**
 * Worlds in which something was found once. A change of what the simulator draws makes another world of a seed, so what
 * was found has a test of its own, named here; the seed only says where it was seen.
 */
export const knownSeeds: readonly (Omit<SeedOptions, 'tell'> & { readonly reason: string })[] = [
  {
    seed: 1,
    agents: 2,
    hours: 0.1,
    reason:
      'a client that hung up while the end of its answer was stored heard of it after all (dispatcher.test.ts)',
  },
  {
    seed: 40_040,
    agents: agentsOf(40_040),
    hours: shortHours,
    reason:
      'an operator who took up an agent that was away did not forgive its failures (dispatcher-health.test.ts)',
  },
]
