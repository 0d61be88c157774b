/** Time that one processor has spent since the machine started, in any unit. */
export type CpuTimes = { readonly busy: number; readonly idle: number }

/**
 * How many cores are busy now. The system's load average is a minute late, Windows has none, and it counts waiting for
 * disks; so this looks at what the processors did between two looks.
 */
export class CpuUse {
  #before: readonly CpuTimes[] | null = null
  #busyCores: number | null = null

  /** Cores that were busy between the last two looks; null before there were two. */
  get busyCores(): number | null {
    return this.#busyCores
  }

  /** @param countable false: the time since the last look was filled by our own doing and says nothing about others */
  look(times: readonly CpuTimes[], countable: boolean): void {
    const before = this.#before
    this.#before = countable ? times : null
    if (before === null || !countable || before.length !== times.length) return
    let busyCores = 0
    for (const [at, { busy, idle }] of times.entries()) {
      const busyTime = busy - (before[at]?.busy ?? 0)
      const allTime = busyTime + idle - (before[at]?.idle ?? 0)
      if (allTime > 0) busyCores += Math.min(1, Math.max(0, busyTime / allTime))
    }
    this.#busyCores = busyCores
  }
}

/** What `os.cpus()` tells, as far as it matters here. */
export const cpuTimesOf = (
  cpus: readonly {
    readonly times: Readonly<Record<'user' | 'nice' | 'sys' | 'idle' | 'irq', number>>
  }[],
): readonly CpuTimes[] =>
  cpus.map(({ times: { user, nice, sys, idle, irq } }) => ({ busy: user + nice + sys + irq, idle }))
