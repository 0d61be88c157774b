import { Arrivals } from './arrivals.ts'
import { Faults } from './faults.ts'
import { forbidden } from './forbidden.ts'
import { askOperator, heal } from './heal.ts'
import { Invariants } from './invariants.ts'
import { Orphans } from './orphans.ts'
import { Simulation, type Counts } from './simulation.ts'
import { worldBegins } from './world.ts'

export type SeedOptions = {
  readonly seed: number
  readonly agents: number
  /** Simulated time in which things go wrong. */
  readonly hours: number
  readonly tell: ((line: string) => void) | null
}

export type Outcome = {
  readonly seed: number
  /** What was broken; null: nothing. */
  readonly violation: string | null
  readonly traceHash: string
  readonly events: number
  /** Simulated time until the last request had ended. */
  readonly simulatedMs: number
  readonly counts: Counts
}

/** Once everything works again, every request has ended after so long, and a new one is answered. */
export const healedWithinMs = 30 * 60_000

/**
 * Runs one world: first things go wrong for a while and nothing that was promised may be broken (safety); then everything
 * works again and everything must come to its end (liveness).
 */
export function runSeed({ seed, agents, hours, tell }: SeedOptions): Outcome {
  const simulation = new Simulation({ seed, agents, hours, tell })
  const { world, story, counts } = simulation
  const invariants = new Invariants(simulation)
  world.afterEvent = () => invariants.check()
  new Orphans(simulation)
  const violation = forbidden(() => {
    try {
      live(simulation, invariants, hours * 3_600_000)
      return null
    } catch (error) {
      if (!(error instanceof Error)) throw error
      story.tell('VIOLATION', () => error.message)
      return error.name === 'Violation' ? error.message : (error.stack ?? error.message)
    }
  })
  return {
    seed,
    violation,
    traceHash: world.traceHash,
    events: world.events,
    simulatedMs: world.now() - worldBegins,
    counts,
  }
}

function live(simulation: Simulation, invariants: Invariants, durationMs: number): void {
  const { world, story } = simulation
  simulation.startServer()
  for (const host of simulation.hosts)
    world.after(world.random.between(0, 5_000), () => host.boot())
  const faults = new Faults(simulation)
  const arrivals = new Arrivals(simulation)
  story.tell('world', () => `things that go wrong here: ${faults.names.join(', ') || 'none'}`)
  world.run(worldBegins + durationMs)
  faults.stop()
  arrivals.stop()
  story.tell('world', () => 'from now on everything works')
  heal(simulation)
  const limit = world.now() + healedWithinMs
  if (!world.run(limit, () => simulation.open.size === 0)) {
    const [left] = simulation.open.keys()
    world.violated(`${simulation.open.size} requests have not ended, ${left} for one`)
  }
  // What was still under way when everything was healed has counted against the machines.
  askOperator(simulation)
  arrivals.tryEveryModel()
  if (!world.run(limit + healedWithinMs, () => arrivals.everyModelAnswers))
    world.violated('a model is not answered for, though everything works')
  // What was cancelled has stopped, and what was acknowledged is settled.
  world.run(world.now() + quietMs)
  invariants.checkIdle()
  world.run(world.now() + 1)
  world.assertNoViolation()
}

const quietMs = 10_000
