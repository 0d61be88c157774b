const smallMachineMb = 36 * 1024

/**
 * How much of unified memory a model may take. Metal's `recommendedMaxWorkingSetSize` is the truth, but only a program
 * linked against Metal can ask it. What others measured of it: 10.67 of 16 GB (two thirds, exo-explore/exo#1672),
 * 75 % of large machines (gpustack/gpustack#1375); newer systems give more (11.84 of 16 GB, AlexsJones/llmfit#754;
 * 107.5 of 128 GB, antirez/ds4#893). So: two thirds up to 36 GB, three quarters above, which no measured machine
 * undercuts. The owner's own limit (`sysctl iogpu.wired_limit_mb`, 0 when not set) comes first: Metal follows it.
 * @returns MB; null when the machine's memory is not known
 */
export function usableUnifiedMb(
  totalMb: number | null,
  wiredLimitMb: number | null,
): number | null {
  if (totalMb === null || totalMb <= 0) return null
  if (wiredLimitMb !== null && wiredLimitMb > 0) return Math.min(wiredLimitMb, totalMb)
  return Math.floor(totalMb <= smallMachineMb ? (totalMb * 2) / 3 : (totalMb * 3) / 4)
}
