import { dlopen, ptr, type Pointer } from 'bun:ffi'
import { noAmdFacts, type AmdFacts } from './amd-facts.ts'
import { busId } from './pci.ts'
import { mbOf } from './sysfs.ts'

/** AMD's management library, for readings that the kernel's files do not have. */
export type AmdLibrary = {
  readonly name: 'rocm_smi' | 'amd_smi'
  /** What the library says of every GPU it sees. Never throws; a call that fails leaves its fact null. */
  read(): AmdFacts[]
}

/** Newest first; the name without a number is there only where the development package is. */
const rocmSmiNames = ['librocm_smi64.so.7', 'librocm_smi64.so.6', 'librocm_smi64.so']
const amdSmiNames = ['libamd_smi.so.26', 'libamd_smi.so.25', 'libamd_smi.so.24', 'libamd_smi.so']
const folders = ['', '/opt/rocm/lib/']

const gpusMax = 64

/**
 * Opens AMD's library: amd_smi, which replaces rocm_smi, or rocm_smi where only that is installed. Null when there is
 * neither, or when the one that is there lacks a function or cannot start (no driver, no permission).
 * @param candidates file names or paths to try
 */
export function openAmdLibrary(
  candidates: { readonly amdSmi: readonly string[]; readonly rocmSmi: readonly string[] } = {
    amdSmi: inFolders(amdSmiNames),
    rocmSmi: inFolders(rocmSmiNames),
  },
): AmdLibrary | null {
  return (
    firstOf(candidates.amdSmi, path => openAmdSmi(path)) ??
    firstOf(candidates.rocmSmi, path => openRocmSmi(path))
  )
}

function inFolders(names: readonly string[]): readonly string[] {
  return names.flatMap(name => folders.map(folder => `${folder}${name}`))
}

function firstOf(paths: readonly string[], open: (path: string) => AmdLibrary | null) {
  for (const path of paths) {
    try {
      const library = open(path)
      if (library !== null) return library
    } catch {
      // dlopen throws for a file that is not there and for a missing function: the next name is tried.
      continue
    }
  }
  return null
}

/** `rocm_smi/rocm_smi.h`, whose calls used here are the same in ROCm 4 to 7. */
function openRocmSmi(path: string): AmdLibrary | null {
  const { symbols } = dlopen(path, {
    rsmi_init: { args: ['u64'], returns: 'u32' },
    rsmi_num_monitor_devices: { args: ['ptr'], returns: 'u32' },
    rsmi_dev_pci_id_get: { args: ['u32', 'ptr'], returns: 'u32' },
    rsmi_dev_memory_total_get: { args: ['u32', 'u32', 'ptr'], returns: 'u32' },
    rsmi_dev_memory_usage_get: { args: ['u32', 'u32', 'ptr'], returns: 'u32' },
    rsmi_dev_temp_metric_get: { args: ['u32', 'u32', 'u32', 'ptr'], returns: 'u32' },
    rsmi_dev_power_ave_get: { args: ['u32', 'u32', 'ptr'], returns: 'u32' },
    rsmi_dev_busy_percent_get: { args: ['u32', 'ptr'], returns: 'u32' },
  })
  if (symbols.rsmi_init(0n) !== success) return null
  return {
    name: 'rocm_smi',
    read() {
      const count = u32(out => symbols.rsmi_num_monitor_devices(out)) ?? 0
      return Array.from({ length: Math.min(count, gpusMax) }, (_, at) => ({
        ...noAmdFacts,
        pciBusId: busIdOfRocm(u64(out => symbols.rsmi_dev_pci_id_get(at, out))),
        vramTotalMb: mbOf(
          big(u64(out => symbols.rsmi_dev_memory_total_get(at, memoryOfVram, out))),
        ),
        vramUsedMb: mbOf(big(u64(out => symbols.rsmi_dev_memory_usage_get(at, memoryOfVram, out)))),
        temperatureC: thousandth(
          i64(out => symbols.rsmi_dev_temp_metric_get(at, sensorEdge, temperatureNow, out)),
        ),
        powerW: millionth(big(u64(out => symbols.rsmi_dev_power_ave_get(at, 0, out)))),
        utilizationPct: percent(u32(out => symbols.rsmi_dev_busy_percent_get(at, out))),
      }))
    },
  }
}

/** `amd_smi/amdsmi.h`. Structures that changed between versions (power, clocks) are left to the kernel's files. */
function openAmdSmi(path: string): AmdLibrary | null {
  const { symbols } = dlopen(path, {
    amdsmi_init: { args: ['u64'], returns: 'u32' },
    amdsmi_get_socket_handles: { args: ['ptr', 'ptr'], returns: 'u32' },
    amdsmi_get_processor_handles: { args: ['u64', 'ptr', 'ptr'], returns: 'u32' },
    amdsmi_get_gpu_device_bdf: { args: ['u64', 'ptr'], returns: 'u32' },
    amdsmi_get_gpu_memory_total: { args: ['u64', 'u32', 'ptr'], returns: 'u32' },
    amdsmi_get_gpu_memory_usage: { args: ['u64', 'u32', 'ptr'], returns: 'u32' },
    amdsmi_get_temp_metric: { args: ['u64', 'u32', 'u32', 'ptr'], returns: 'u32' },
    amdsmi_get_gpu_activity: { args: ['u64', 'ptr'], returns: 'u32' },
  })
  if (symbols.amdsmi_init(initGpus) !== success) return null
  const handles = (get: (count: Pointer, list: Pointer | null) => number): bigint[] => {
    const count = new Uint32Array(1)
    if (get(ptr(count), null) !== success) return []
    const list = new BigUint64Array(Math.min(count[0] ?? 0, gpusMax))
    if (list.length === 0) return []
    count[0] = list.length
    return get(ptr(count), ptr(list)) === success ? [...list.subarray(0, count[0])] : []
  }
  return {
    name: 'amd_smi',
    read: () =>
      handles((count, list) => symbols.amdsmi_get_socket_handles(count, list))
        .flatMap(socket =>
          handles((count, list) => symbols.amdsmi_get_processor_handles(socket, count, list)),
        )
        .map(gpu => ({
          ...noAmdFacts,
          pciBusId: busIdOfAmdSmi(u64(out => symbols.amdsmi_get_gpu_device_bdf(gpu, out))),
          vramTotalMb: mbOf(
            big(u64(out => symbols.amdsmi_get_gpu_memory_total(gpu, memoryOfVram, out))),
          ),
          vramUsedMb: mbOf(
            big(u64(out => symbols.amdsmi_get_gpu_memory_usage(gpu, memoryOfVram, out))),
          ),
          // Degrees, where rocm_smi counts thousandths.
          temperatureC: plain(
            i64(out => symbols.amdsmi_get_temp_metric(gpu, sensorEdge, temperatureNow, out)),
          ),
          utilizationPct: percent(activity(out => symbols.amdsmi_get_gpu_activity(gpu, out))),
        })),
  }
}

const success = 0
/** `AMDSMI_INIT_AMD_GPUS` */
const initGpus = 2n
/** `RSMI_MEM_TYPE_VRAM`, `AMDSMI_MEM_TYPE_VRAM` */
const memoryOfVram = 0
/** `RSMI_TEMP_TYPE_EDGE`, `AMDSMI_TEMPERATURE_TYPE_EDGE` */
const sensorEdge = 0
/** `RSMI_TEMP_CURRENT`, `AMDSMI_TEMP_CURRENT` */
const temperatureNow = 0

type Fill = (out: Pointer) => number

function u32(fill: Fill): number | null {
  const out = new Uint32Array(1)
  return fill(ptr(out)) === success ? (out[0] ?? null) : null
}

function u64(fill: Fill): bigint | null {
  const out = new BigUint64Array(1)
  return fill(ptr(out)) === success ? (out[0] ?? null) : null
}

function i64(fill: Fill): bigint | null {
  const out = new BigInt64Array(1)
  return fill(ptr(out)) === success ? (out[0] ?? null) : null
}

/** `amdsmi_engine_usage_t`: three percentages and thirteen reserved words; the first is the graphics engine's. */
function activity(fill: Fill): number | null {
  const out = new Uint32Array(16)
  return fill(ptr(out)) === success ? (out[0] ?? null) : null
}

/** All bits set is the libraries' word for "not supported". */
const big = (value: bigint | null): number | null =>
  value === null || value > BigInt(Number.MAX_SAFE_INTEGER) ? null : Number(value)

const plain = (value: bigint | null): number | null =>
  value === null || value < -100n || value > 200n ? null : Number(value)

const thousandth = (value: bigint | null): number | null =>
  value === null || value < -100_000n || value > 200_000n ? null : Number(value) / 1000

const millionth = (value: number | null): number | null =>
  value === null ? null : Math.round(value / 1000) / 1000

const percent = (value: number | null): number | null =>
  value === null || value > 100 ? null : value

/** `BDFID = (domain << 32) | (partition << 28) | (bus << 8) | (device << 3) | function` */
export function busIdOfRocm(bdf: bigint | null): string | null {
  if (bdf === null) return null
  const [domain, low] = [Number(bdf >> 32n), Number(bdf & 0xffffn)]
  return busId(domain, low >> 8, (low >> 3) & 0x1f, low & 7)
}

/** `amdsmi_bdf_t`: function in 3 bits, device in 5, bus in 8, domain above. */
export function busIdOfAmdSmi(bdf: bigint | null): string | null {
  if (bdf === null) return null
  const low = Number(bdf & 0xffffn)
  const domain = Number((bdf >> 16n) & 0xffff_ffff_ffffn)
  return busId(domain, low >> 8, (low >> 3) & 0x1f, low & 7)
}
