import { dlopen } from 'bun:ffi'

/**
 * `PF_*` of IsProcessorFeaturePresent (winnt.h) for instruction sets that llama.cpp uses. The registry's FeatureSet,
 * which systeminformation reads, ends before AVX.
 */
const presentFeatures: Readonly<Record<number, string>> = {
  13: 'sse3',
  38: 'sse4_2',
  39: 'avx',
  40: 'avx2',
  41: 'avx512f',
  43: 'asimddp',
  46: 'sve',
  47: 'sve2',
}

/** @returns the flags that Windows tells, separated by spaces; empty on other systems */
export function windowsCpuFlags(platform: NodeJS.Platform = process.platform): string {
  if (platform !== 'win32') return ''
  try {
    const { symbols } = dlopen('kernel32.dll', {
      IsProcessorFeaturePresent: { args: ['u32'], returns: 'i32' },
    })
    return Object.entries(presentFeatures)
      .filter(([number]) => symbols.IsProcessorFeaturePresent(Number(number)) !== 0)
      .map(([, flag]) => flag)
      .join(' ')
  } catch {
    return ''
  }
}
