/**
 * How many threads one engine gets.
 *
 * More threads than free cores is a cliff: ggml's threads spin at a barrier, and on a busy 2-core machine a small model
 * went from 1,900 tokens/s on one thread to 6 with the defaults. So: what calibration found to be fastest, less when
 * other programs keep cores busy now, and never more. Before calibration: the physical cores less one for everything
 * else (hyperthreads add nothing to matrix products), less what is busy.
 * @param chosen what the owner set; it is taken as it is, down to 1
 * @param calibrated the fastest count that was measured; null: none was
 * @param machineCores logical cores of the machine, also those that this process may not use
 * @param busyCores cores that other programs keep busy; 0 where the system does not tell
 */
export function chooseThreads(machine: {
  readonly chosen: number | null
  readonly calibrated: number | null
  readonly physicalCores: number
  readonly logicalCores: number
  readonly machineCores: number
  readonly busyCores: number
}): number {
  if (machine.chosen !== null) return Math.max(1, machine.chosen)
  const { calibrated, physicalCores, logicalCores, machineCores, busyCores } = machine
  const freeCores = Math.min(logicalCores, machineCores - busyCores)
  // A calibrated count was itself measured beside the usual small work, so that does not cost it a thread.
  const [most, free] =
    calibrated === null
      ? [physicalCores - 1, Math.floor(freeCores)]
      : [calibrated, Math.round(freeCores)]
  return Math.max(1, Math.min(most, free))
}

/** Reads GPUPOOL_AGENT_THREADS. @returns the number, null when it is not set, or a text about what is wrong */
export function parseThreads(text: string | undefined): number | null | string {
  if (text === undefined || text === '') return null
  const threads = Number(text)
  return Number.isInteger(threads) && threads >= 1 && threads <= 1_024
    ? threads
    : `GPUPOOL_AGENT_THREADS must be a whole number from 1 to 1024, not "${text}"`
}

/** Reads GPUPOOL_AGENT_CALIBRATE. @returns whether to measure, or a text about what is wrong */
export function parseCalibrate(text: string | undefined): boolean | string {
  if (text === undefined || text === '' || text === 'on') return true
  return text === 'off' ? false : `GPUPOOL_AGENT_CALIBRATE must be on or off, not "${text}"`
}
