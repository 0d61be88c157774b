import type { LlamaContextSequence } from 'node-llama-cpp'
import { systemClock, type Clock } from '../../clock.ts'
import type { Failure } from '../../protocol/errors.ts'
import { processTimers, type Timers } from '../timers.ts'
import { samplingThrough, type NativeSample } from './native-sampling.ts'

/**
 * How the process exits when a grammar keeps it from its other jobs. llama.cpp cannot be stopped in the middle of a sample,
 * and the next batch waits for the last one's samples.
 */
export const heldUpExitCode = 113

/**
 * What one answer's grammar may cost, in ms of sampling. An ordinary schema takes 1 to 3 ms a token; `root ::= ("a"?){1000}`
 * took 134 s for its first one. The others lose at most `sampleMs` + `graceMs` at once, then the worker is begun anew;
 * and in the long run `tokenMs` a token.
 */
export const grammarCosts = { sampleMs: 2_000, graceMs: 2_000, tokenMs: 100, budgetMs: 4_000 }

export type GuardDeps = {
  readonly clock: Clock
  readonly timers: Timers
  /** Ends the process. */
  readonly giveUp: () => void
}

const processDeps: GuardDeps = {
  clock: systemClock,
  timers: processTimers,
  giveUp: () => process.exit(heldUpExitCode),
}

/** Watches over what one answer's grammar costs the others, and over whether it still lets any token through. */
export class GrammarGuard {
  readonly #onStuck: (error: Failure) => void
  readonly #deps: GuardDeps
  #leftMs = grammarCosts.budgetMs
  #view: LlamaContextSequence | null = null
  #fault: Failure | null = null

  /** @param onStuck told in the middle of a sample that has taken far too long: the job is over, whatever comes of it */
  constructor(onStuck: (error: Failure) => void, deps: GuardDeps = processDeps) {
    this.#onStuck = onStuck
    this.#deps = deps
  }

  /** The answer's sequence, watched. */
  over(sequence: LlamaContextSequence): LlamaContextSequence {
    this.#view ??= samplingThrough(sequence, sample => this.watch(sample))
    return this.#view
  }

  /** Why there is no next token; null: the grammar is not to blame. */
  get fault(): Failure | null {
    return this.#fault
  }

  /** Stands for the native function; `-1` is the library's "no token". */
  watch(sample: NativeSample): NativeSample {
    return async (...args) => {
      const { clock, timers } = this.#deps
      const from = clock.now()
      let cancel = timers.after(grammarCosts.sampleMs, () => {
        this.#onStuck(tooSlow)
        cancel = timers.after(grammarCosts.graceMs, this.#deps.giveUp)
      })
      try {
        const drawn = await sample(...args)
        this.#pay(clock.now() - from)
        return this.#fault === null ? drawn : -1
      } catch (error) {
        if (!(error instanceof Error)) throw error
        // Left to the library it would end no job and no wait: its batch never returns.
        this.#fault = deadEnd
        return -1
      } finally {
        cancel()
      }
    }
  }

  #pay(ms: number): void {
    this.#leftMs = Math.min(grammarCosts.budgetMs, this.#leftMs + grammarCosts.tokenMs - ms)
    if (this.#leftMs < 0) this.#fault = tooSlow
  }
}

const tooSlow: Failure = {
  code: 'invalid_request',
  message:
    'the grammar takes too long for each token: too many of its rules fit the same text. Repeat nothing that may be empty, and let alternatives begin differently',
}

/** llama.cpp: "Unexpected empty grammar stack after accepting piece", when every token is forbidden. */
const deadEnd: Failure = {
  code: 'invalid_request',
  message: 'the grammar came to a place where it allows no token of this model',
}
