import { systemClock } from '../clock.ts'

/** What the person at the terminal is told; on stderr, so that stdout carries answers alone. */
export type Story = {
  say(text: string): void
  /** Runs one step and shows that it is under way and, if `succeeded` says so, how long it took. */
  step<T>(what: string, work: () => Promise<T>, succeeded: (result: T) => boolean): Promise<T>
}

const frames = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'] as const
const spinEveryMs = 100
const lineEveryMs = 15_000
const clearLine = '\r\u001b[K'

/** `quiet` keeps steps below a second to itself, for `--once`. */
export function createStory(quiet: boolean): Story {
  const terminal = process.stderr.isTTY === true
  const say = (text: string) => void process.stderr.write(`${text}\n`)
  return {
    say,
    async step(what, work, succeeded) {
      const begun = systemClock.now()
      const seconds = () => (systemClock.now() - begun) / 1000
      let turns = 0
      const show = () => {
        const frame = frames[turns++ % frames.length] ?? ''
        if (terminal)
          process.stderr.write(`${clearLine}${frame} ${what} … ${seconds().toFixed(0)} s`)
        else say(`${what} … ${seconds().toFixed(0)} s`)
      }
      const timer = setInterval(show, terminal ? spinEveryMs : lineEveryMs)
      try {
        const result = await work()
        if (terminal && turns > 0) process.stderr.write(clearLine)
        if (succeeded(result) && (!quiet || seconds() >= 1))
          say(`✓ ${what} (${seconds().toFixed(1)} s)`)
        return result
      } finally {
        clearInterval(timer)
      }
    },
  }
}
