import type { Simulation } from './simulation.ts'

const retryMs = 15_000

/** The clients: they come one by one and in crowds, have patience or not, and read slowly or not. */
export class Arrivals {
  readonly #simulation: Simulation
  readonly #meanMs: number
  readonly #impatient: number
  readonly #slow: number
  readonly #crowds: number
  readonly #unanswered = new Set<string>()
  #isOver = false

  constructor(simulation: Simulation) {
    const { random } = simulation.world
    this.#simulation = simulation
    // Of one agent's share, so that a large pool has more to do.
    this.#meanMs =
      (random.spread(1_000, 20_000) * simulation.slowness) / Math.sqrt(simulation.hosts.length)
    this.#impatient = random.chance(0.5) ? random.between(0, 0.5) : 0
    this.#slow = random.chance(0.5) ? random.between(0, 0.5) : 0
    this.#crowds = random.chance(0.2) ? random.between(0, 0.1) : 0
    this.#next()
  }

  stop(): void {
    this.#isOver = true
  }

  /** Asks for each model until it is answered. */
  tryEveryModel(): void {
    for (const model of this.#simulation.models) {
      this.#unanswered.add(model)
      this.#try(model)
    }
  }

  get everyModelAnswers(): boolean {
    return this.#unanswered.size === 0
  }

  #try(model: string): void {
    const client = this.#simulation.ask(model, { patienceMs: null, readsPerS: null })
    const look = () => {
      if (client.ending === null) this.#simulation.world.after(retryMs, look)
      else if (client.ending.type === 'finished') this.#unanswered.delete(model)
      else this.#simulation.world.after(retryMs, () => this.#try(model))
    }
    look()
  }

  #next(): void {
    const { world } = this.#simulation
    world.after(-Math.log(1 - world.random.next()) * this.#meanMs, () => {
      if (this.#isOver) return
      const crowd = world.random.chance(this.#crowds) ? world.random.whole(5, 40) : 1
      for (let left = crowd; left > 0; left--) this.#ask()
      this.#next()
    })
  }

  #ask(): void {
    const { world, models } = this.#simulation
    const { random } = world
    const model = models[random.whole(0, models.length - 1)]
    if (model === undefined) return
    this.#simulation.ask(model, {
      patienceMs: random.chance(this.#impatient) ? random.skewed(1, 60_000) : null,
      readsPerS: random.chance(this.#slow) ? random.skewed(0.1, 100) : null,
    })
  }
}
