import type { Store } from '../src/server/store/store.ts'
import { createSimStore, type Medium } from './sim-store.ts'
import { Tables } from './tables.ts'
import type { World } from './world.ts'

/** What is wrong with the database now. */
export type DiskTrouble = 'none' | 'slow' | 'gone' | 'unacknowledged'

const latencyMs = { min: 0.2, max: 8, slowMax: 4_000 } as const

/**
 * The database of a simulated server. What was committed is there for ever; what a server had not committed when it died
 * never was. A commit may be there while its acknowledgement is lost with the server. Operations of one server are
 * committed one after another, in their order.
 */
export class Disk {
  readonly tables = new Tables()
  trouble: DiskTrouble = 'none'
  readonly #world: World

  constructor(world: World) {
    this.#world = world
  }

  /** @param isAlive whether the server that opens it still runs */
  open(isAlive: () => boolean): Store {
    let lastCommitAt = 0
    const medium: Medium = commit =>
      new Promise((resolve, reject) => {
        const now = this.#world.now()
        lastCommitAt = Math.max(lastCommitAt + 0.001, now + this.#latency())
        this.#world.after(lastCommitAt - now, () => {
          if (!isAlive()) return
          const answer = this.#perform(commit)
          this.#world.after(this.#latency(), () => {
            if (!isAlive()) return
            if (answer instanceof Error) reject(answer)
            else resolve(answer)
          })
        })
      })
    return createSimStore(() => this.tables, medium)
  }

  #perform<Answer>(commit: () => Answer): Answer | Error {
    if (this.trouble === 'gone') return new Error('the database does not answer')
    try {
      const answer = commit()
      if (this.trouble !== 'unacknowledged') return answer
      return new Error('the connection to the database broke behind the commit')
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error))
    }
  }

  #latency(): number {
    const { min, max, slowMax } = latencyMs
    return this.#world.random.skewed(min, this.trouble === 'slow' ? slowMax : max)
  }
}
