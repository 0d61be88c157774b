import { nvmlStatusByCode } from './nvml-ffi.ts'

/**
 * How a call ended: nvml.h's name without `NVML_ERROR_`, `MISSING_SYMBOL` when the driver's library does not have the
 * function, `CODE_31` and so on for codes newer than this program.
 */
export type NvmlStatus =
  (typeof nvmlStatusByCode)[keyof typeof nvmlStatusByCode] | 'MISSING_SYMBOL' | `CODE_${number}`

const names: Readonly<Record<number, NvmlStatus>> = nvmlStatusByCode

export const nvmlStatusOf = (code: number): NvmlStatus => names[code] ?? `CODE_${code}`

/** The device does not answer for itself any more; after a new start of NVML it may. */
export const isGone = (status: NvmlStatus): boolean =>
  status === 'GPU_IS_LOST' ||
  status === 'RESET_REQUIRED' ||
  status === 'GPU_NOT_FOUND' ||
  status === 'UNINITIALIZED' ||
  status === 'DRIVER_NOT_LOADED'

/** What the owner of the machine reads, ending with what to do. */
export function nvmlProblem(subject: string, status: NvmlStatus): string {
  const advice = adviceFor[status]
  return `${subject}: NVML says ${status}${advice === undefined ? '' : `: ${advice}`}`
}

const adviceFor: Readonly<Partial<Record<NvmlStatus, string>>> = {
  GPU_IS_LOST:
    'the GPU has fallen off the bus; check power cables, riser and temperature, then restart the machine',
  RESET_REQUIRED: 'the GPU must be reset before it works again; restart the machine',
  GPU_NOT_FOUND: 'the GPU is no longer there; check its connection, then restart the machine',
  DRIVER_NOT_LOADED:
    'the NVIDIA driver is not loaded; install it, or load it with "modprobe nvidia", or restart the machine',
  LIB_RM_VERSION_MISMATCH:
    'the driver was updated and the old one is still loaded; restart the machine',
  NO_PERMISSION:
    'this user may not use the GPU; give it access to /dev/nvidia* (often by the group "video")',
  LIBRARY_NOT_FOUND: 'a part of the NVIDIA driver is missing; install the driver again',
  IRQ_ISSUE: 'the GPU gets no interrupts; check the BIOS settings and the slot',
  INSUFFICIENT_POWER: 'the GPU gets too little power; check its power cables',
  OPERATING_SYSTEM:
    'the operating system keeps the GPU away; in a container or VM, pass it through',
  MEMORY: 'there is not enough memory to ask the driver',
  CORRUPTED_INFOROM: "the GPU's own configuration memory is damaged; ask its vendor",
  UNKNOWN: 'the driver gives no reason; restart the machine if it stays so',
}
