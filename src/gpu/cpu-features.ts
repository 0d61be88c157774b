/** Flag of Linux, macOS or Windows → the name we use, for the instruction sets that llama.cpp has code for. */
const featureNames: Readonly<Record<string, string>> = {
  sse3: 'sse3',
  pni: 'sse3',
  ssse3: 'ssse3',
  sse4_2: 'sse4_2',
  'sse4.2': 'sse4_2',
  avx: 'avx',
  'avx1.0': 'avx',
  avx2: 'avx2',
  f16c: 'f16c',
  fma: 'fma',
  bmi2: 'bmi2',
  avx_vnni: 'avx_vnni',
  avx512f: 'avx512f',
  avx512bw: 'avx512bw',
  avx512cd: 'avx512cd',
  avx512dq: 'avx512dq',
  avx512vl: 'avx512vl',
  avx512ifma: 'avx512ifma',
  avx512vbmi: 'avx512vbmi',
  avx512_vbmi2: 'avx512_vbmi2',
  avx512_vnni: 'avx512_vnni',
  avx512_bitalg: 'avx512_bitalg',
  avx512_vpopcntdq: 'avx512_vpopcntdq',
  avx512_bf16: 'avx512_bf16',
  avx512_fp16: 'avx512_fp16',
  amx_tile: 'amx_tile',
  amx_int8: 'amx_int8',
  amx_bf16: 'amx_bf16',
  amx_fp16: 'amx_fp16',
  asimd: 'neon',
  neon: 'neon',
  asimddp: 'dotprod',
  dotprod: 'dotprod',
  asimdhp: 'fp16',
  fp16: 'fp16',
  i8mm: 'i8mm',
  bf16: 'bf16',
  sve: 'sve',
  sve2: 'sve2',
  svei8mm: 'svei8mm',
  svebf16: 'svebf16',
  sme: 'sme',
}

/** The instruction sets in a text of flags; on arm64 `neon` is part of the architecture. */
export function cpuFeatures(flags: string, arch: string): string[] {
  const found = new Set(arch === 'arm64' ? ['neon'] : [])
  for (const flag of flags.toLowerCase().split(/\s+/)) {
    const name = Object.hasOwn(featureNames, flag) ? featureNames[flag] : undefined
    if (name !== undefined) found.add(name)
  }
  return [...found].sort()
}
