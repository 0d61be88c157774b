import { FFIType, type FFIFunction } from 'bun:ffi'

/**
 * What nvml.h says, and nothing else: symbols, struct layouts and constants. Names in the comments are nvml.h's.
 * NVML keeps its binary interface: a changed function gets a new suffix (`_v2`), the old one stays.
 */

/** nvmlDevice_t is an opaque pointer. It is carried as 64 bits, which no JavaScript number can round. */
const device = FFIType.u64
/** Where a result goes: a buffer of ours. */
const out = FFIType.ptr
const uint = FFIType.u32
/** nvmlReturn_t, an enum; also enums as arguments. */
const status = FFIType.i32

/** Every symbol that is used. Each may be missing in an older driver. */
export const nvmlSymbols = {
  /** nvmlReturn_t nvmlInit_v2(void): does not fail when one of several devices is in trouble; 319 and later. */
  nvmlInit_v2: { args: [], returns: status },
  nvmlInit: { args: [], returns: status },
  nvmlShutdown: { args: [], returns: status },
  /** (char *version, unsigned int length) */
  nvmlSystemGetDriverVersion: { args: [out, uint], returns: status },
  /** (int *cudaDriverVersion): major * 1000 + minor * 10. _v2 asks libcuda's own version, as nvidia-smi shows it. */
  nvmlSystemGetCudaDriverVersion_v2: { args: [out], returns: status },
  nvmlSystemGetCudaDriverVersion: { args: [out], returns: status },
  /** (unsigned int *deviceCount): _v2 counts devices without permission too. */
  nvmlDeviceGetCount_v2: { args: [out], returns: status },
  nvmlDeviceGetCount: { args: [out], returns: status },
  /** (unsigned int index, nvmlDevice_t *device) */
  nvmlDeviceGetHandleByIndex_v2: { args: [uint, out], returns: status },
  nvmlDeviceGetHandleByIndex: { args: [uint, out], returns: status },
  /** (nvmlDevice_t, char *, unsigned int length) */
  nvmlDeviceGetName: { args: [device, out, uint], returns: status },
  nvmlDeviceGetUUID: { args: [device, out, uint], returns: status },
  /** (nvmlDevice_t, nvmlPciInfo_t *): layout `pciInfo` below. */
  nvmlDeviceGetPciInfo_v3: { args: [device, out], returns: status },
  nvmlDeviceGetPciInfo_v2: { args: [device, out], returns: status },
  nvmlDeviceGetPciInfo: { args: [device, out], returns: status },
  /** (nvmlDevice_t, int *major, int *minor): 340 and later. */
  nvmlDeviceGetCudaComputeCapability: { args: [device, out, out], returns: status },
  /** (nvmlDevice_t, nvmlMemory_v2_t *): 510 and later. */
  nvmlDeviceGetMemoryInfo_v2: { args: [device, out], returns: status },
  nvmlDeviceGetMemoryInfo: { args: [device, out], returns: status },
  /** (nvmlDevice_t, nvmlUtilization_t *) */
  nvmlDeviceGetUtilizationRates: { args: [device, out], returns: status },
  /** (nvmlDevice_t, nvmlTemperatureSensors_t, unsigned int *temp): °C */
  nvmlDeviceGetTemperature: { args: [device, status, out], returns: status },
  /** (nvmlDevice_t, nvmlTemperature_t *): 570 and later; the other one is deprecated since. */
  nvmlDeviceGetTemperatureV: { args: [device, out], returns: status },
  /** (nvmlDevice_t, unsigned int *): milliwatts */
  nvmlDeviceGetPowerUsage: { args: [device, out], returns: status },
  nvmlDeviceGetEnforcedPowerLimit: { args: [device, out], returns: status },
  nvmlDeviceGetPowerManagementLimit: { args: [device, out], returns: status },
  /** (nvmlDevice_t, nvmlClockType_t, unsigned int *clock): MHz */
  nvmlDeviceGetClockInfo: { args: [device, status, out], returns: status },
  /** (nvmlDevice_t, unsigned long long *): bits; 535 and later, before by its old name. */
  nvmlDeviceGetCurrentClocksEventReasons: { args: [device, out], returns: status },
  nvmlDeviceGetCurrentClocksThrottleReasons: { args: [device, out], returns: status },
  /** (nvmlDevice_t, unsigned int *currentMode, unsigned int *pendingMode): 450 and later. */
  nvmlDeviceGetMigMode: { args: [device, out, out], returns: status },
} as const satisfies Readonly<Record<string, FFIFunction>>

export type NvmlSymbol = keyof typeof nvmlSymbols

/** Text buffers, generous: NVML_DEVICE_NAME_V2_BUFFER_SIZE and NVML_DEVICE_UUID_V2_BUFFER_SIZE are 96, versions 80. */
export const textBytes = 96

/** nvmlPciInfo_t. The first 32 bytes are the same in every version; the longest is 68 bytes. */
export const pciInfo = {
  bytes: 128,
  /** After char busIdLegacy[16] (char busId[16] in version 2). */
  domain: 16,
  bus: 20,
  device: 24,
  /** Device in the upper, vendor in the lower 16 bits. */
  pciDeviceId: 28,
} as const

/** nvmlMemory_t: three unsigned long long, bytes. `used` includes the driver's reserve. */
export const memory = { bytes: 24, total: 0, free: 8, used: 16 } as const

/** nvmlMemory_v2_t: unsigned int version, four bytes of padding, four unsigned long long. */
export const memoryV2 = {
  bytes: 40,
  version: 0,
  total: 8,
  reserved: 16,
  free: 24,
  used: 32,
} as const

/** nvmlUtilization_t: two unsigned int, percent. */
export const utilization = { bytes: 8, gpu: 0, memory: 4 } as const

/** nvmlTemperature_v1_t: unsigned int version, nvmlTemperatureSensors_t, int. */
export const temperatureV1 = { bytes: 12, version: 0, sensorType: 4, temperature: 8 } as const

/** NVML_STRUCT_VERSION: the struct's size and, in the upper byte, its version. */
export const structVersion = (bytes: number, version: number): number => bytes | (version << 24)

/** NVML_TEMPERATURE_GPU */
export const temperatureSensorGpu = 0
/** NVML_CLOCK_GRAPHICS, NVML_CLOCK_MEM */
export const clockGraphics = 0
export const clockMemory = 2
/** NVML_DEVICE_MIG_ENABLE */
export const migEnable = 1
/** NVML_VALUE_NOT_AVAILABLE, -1, as unsigned int */
export const valueNotAvailable = 0xffffffff

/** nvmlReturn_t. A code that is not here is one of a newer driver. */
export const nvmlStatusByCode = {
  0: 'SUCCESS',
  1: 'UNINITIALIZED',
  2: 'INVALID_ARGUMENT',
  3: 'NOT_SUPPORTED',
  4: 'NO_PERMISSION',
  5: 'ALREADY_INITIALIZED',
  6: 'NOT_FOUND',
  7: 'INSUFFICIENT_SIZE',
  8: 'INSUFFICIENT_POWER',
  9: 'DRIVER_NOT_LOADED',
  10: 'TIMEOUT',
  11: 'IRQ_ISSUE',
  12: 'LIBRARY_NOT_FOUND',
  13: 'FUNCTION_NOT_FOUND',
  14: 'CORRUPTED_INFOROM',
  15: 'GPU_IS_LOST',
  16: 'RESET_REQUIRED',
  17: 'OPERATING_SYSTEM',
  18: 'LIB_RM_VERSION_MISMATCH',
  19: 'IN_USE',
  20: 'MEMORY',
  21: 'NO_DATA',
  22: 'VGPU_ECC_NOT_SUPPORTED',
  23: 'INSUFFICIENT_RESOURCES',
  24: 'FREQ_NOT_SUPPORTED',
  25: 'ARGUMENT_VERSION_MISMATCH',
  26: 'DEPRECATED',
  27: 'NOT_READY',
  28: 'GPU_NOT_FOUND',
  29: 'INVALID_STATE',
  30: 'RESET_TYPE_NOT_SUPPORTED',
  999: 'UNKNOWN',
} as const

/** Where the library lies, in the order in which it is tried. */
export const nvmlLibraries = (
  platform: NodeJS.Platform,
  environment: Readonly<Record<string, string | undefined>>,
): readonly string[] => {
  if (platform === 'linux')
    return [
      'libnvidia-ml.so.1',
      // WSL2 puts the Windows driver's library here and does not always tell the loader.
      '/usr/lib/wsl/lib/libnvidia-ml.so.1',
      // NixOS, and containers whose host mounts its driver.
      '/run/opengl-driver/lib/libnvidia-ml.so.1',
      '/usr/local/nvidia/lib64/libnvidia-ml.so.1',
    ]
  if (platform !== 'win32') return []
  // Whole paths: by its bare name Windows would also look beside the executable.
  const system = environment['SystemRoot'] ?? 'C:\\Windows'
  const programs = environment['ProgramW6432'] ?? environment['ProgramFiles'] ?? 'C:\\Program Files'
  return [`${system}\\System32\\nvml.dll`, `${programs}\\NVIDIA Corporation\\NVSMI\\nvml.dll`]
}
