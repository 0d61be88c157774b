const bytesPerGb = 1024 ** 3
/** Of what is free and what models have already: the machine is its owner's first. */
const shareDefault = 0.8

/** A file that the agent keeps for models, as the choice sees it. */
export type KeptFile = {
  readonly path: string
  readonly sizeBytes: number
  /** Wall-clock ms; files that were never used count from when they were written. */
  readonly lastUsedAt: number
  /** Loaded, being loaded, or being fetched. */
  readonly inUse: boolean
  /** The agent fetched it: only such files are its to remove. */
  readonly own: boolean
}

/** @returns bytes, null where nothing is set, or what is wrong */
export function parseDiskGb(text: string | undefined): number | null | string {
  if (text === undefined || text === '') return null
  const gb = Number(text)
  return /^\d+(\.\d+)?$/.test(text) && gb > 0 && gb <= 1e6
    ? Math.floor(gb * bytesPerGb)
    : `GPUPOOL_AGENT_DISK_GB must be a number of gigabytes above 0, for example 100, not "${text}"`
}

/** @returns bytes that model files may take together when the owner has not said */
export const defaultBudgetBytes = (freeBytes: number, keptBytes: number): number =>
  Math.floor((freeBytes + keptBytes) * shareDefault)

/**
 * Which files make way for a new one: the longest unused first, and no more than needed. Files in use and files of
 * others stay.
 * @param missingBytes how much has to go; 0 or less: nothing
 * @returns null when even all that may go is too little; then nothing should go
 */
export function chooseEvictions<File extends KeptFile>(
  files: readonly File[],
  missingBytes: number,
): readonly File[] | null {
  const removable = files
    .filter(file => file.own && !file.inUse)
    .toSorted((a, b) => a.lastUsedAt - b.lastUsedAt)
  const chosen: File[] = []
  let goneBytes = 0
  for (const file of removable) {
    if (goneBytes >= missingBytes) break
    chosen.push(file)
    goneBytes += file.sizeBytes
  }
  return goneBytes >= missingBytes ? chosen : null
}
