/**
 * How many threads one engine gets.
 *
 * More threads than free cores is a cliff: ggml's threads spin at a barrier, and on a busy 2-core machine a small model
 * went from 1,900 tokens/s on one thread to 6 with the defaults. So: the physical cores less one for everything else
 * (hyperthreads add nothing to matrix products), less what other programs keep busy already.
 * @param chosen what the owner set; it is taken as it is, down to 1
 * @param loadAverage processes that wanted to run over the last minute; 0 where the system does not tell (Windows)
 */
export function chooseThreads(machine: {
  readonly chosen: number | null
  readonly physicalCores: number
  readonly logicalCores: number
  readonly loadAverage: number
}): number {
  if (machine.chosen !== null) return Math.max(1, machine.chosen)
  const freeCores = Math.floor(machine.logicalCores - machine.loadAverage)
  return Math.max(1, Math.min(machine.physicalCores - 1, freeCores))
}

/** Reads GPUPOOL_AGENT_THREADS. @returns the number, null when it is not set, or a text about what is wrong */
export function parseThreads(text: string | undefined): number | null | string {
  if (text === undefined || text === '') return null
  const threads = Number(text)
  return Number.isInteger(threads) && threads >= 1 && threads <= 1_024
    ? threads
    : `GPUPOOL_AGENT_THREADS must be a whole number from 1 to 1024, not "${text}"`
}
