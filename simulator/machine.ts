import type { Clock, Instant } from '../src/clock.ts'
import type { Timers } from '../src/agent/timers.ts'
import type { World } from './world.ts'

/** Timers round; what is due within so much is due. */
const toleranceMs = 0.001

/**
 * The computer that an agent runs on: it sleeps and freezes, and then nothing on it happens. Asleep, its monotonic clock
 * stands still and its wall clock runs on; frozen (a stopped process, a machine that swaps), both run on.
 */
export class Machine {
  readonly #world: World
  #state: 'awake' | 'asleep' | 'frozen' = 'awake'
  #sleptMs = 0
  #sinceAt: Instant = 0
  /** The wall clock is somebody else's: it is off, and it jumps. */
  #wallErrorMs = 0
  #waiting: (() => void)[] = []

  readonly clock: Clock = { now: () => this.#world.now() - this.#slept }
  readonly wallClock: Clock = { now: () => this.#world.now() + this.#wallErrorMs }

  constructor(world: World) {
    this.#world = world
  }

  get isAwake(): boolean {
    return this.#state === 'awake'
  }

  get #slept(): number {
    return this.#sleptMs + (this.#state === 'asleep' ? this.#world.now() - this.#sinceAt : 0)
  }

  sleep(): void {
    if (this.#state === 'awake') this.#stop('asleep')
  }

  freeze(): void {
    if (this.#state === 'awake') this.#stop('frozen')
  }

  wake(): void {
    if (this.#state === 'awake') return
    this.#sleptMs = this.#slept
    this.#state = 'awake'
    this.#catchUp()
  }

  setWallClock(errorMs: number): void {
    this.#wallErrorMs = errorMs
  }

  /** Now, or when the machine runs again. */
  whenAwake(act: () => void): void {
    if (this.isAwake && this.#waiting.length === 0) act()
    else this.#waiting.push(act)
  }

  /** @param isAlive whether the process still runs that the timers belong to */
  timers(isAlive: () => boolean): Timers {
    return {
      after: (ms, callback) => {
        const dueAt = this.clock.now() + Math.max(0, ms)
        let isWanted = true
        const check = () => {
          if (!isWanted || !isAlive()) return
          const earlyMs = dueAt - this.clock.now()
          if (earlyMs > toleranceMs)
            cancel = this.#world.after(earlyMs, () => this.whenAwake(check))
          else callback()
        }
        let cancel = this.#world.after(Math.max(0, ms), () => this.whenAwake(check))
        return () => {
          isWanted = false
          cancel()
        }
      },
    }
  }

  /** What came meanwhile happens in its order, each as an event of its own; what comes now waits behind it. */
  #catchUp(): void {
    this.#world.after(0, () => {
      if (!this.isAwake) return
      const act = this.#waiting[0]
      act?.()
      this.#waiting.shift()
      if (this.#waiting.length > 0) this.#catchUp()
    })
  }

  #stop(state: 'asleep' | 'frozen'): void {
    this.#state = state
    this.#sinceAt = this.#world.now()
  }
}
