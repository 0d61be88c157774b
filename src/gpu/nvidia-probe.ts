import { createProbeOver, type NvidiaProbe } from './nvidia-look.ts'
import { createNvidiaSmiSource } from './nvidia-smi-probe.ts'
import { createNvmlSource } from './nvml-probe.ts'

/**
 * The NVIDIA devices of this machine: by NVML, and by nvidia-smi where there is no NVML or it fails. Every device says
 * by which (`source`, and `readBy` for each fact). A machine without an NVIDIA driver has no devices and no problems.
 */
export const createNvidiaProbe = (): NvidiaProbe =>
  // NVIDIA has made no driver for macOS since 10.13.
  createProbeOver(
    process.platform === 'darwin' ? [] : [createNvmlSource(), createNvidiaSmiSource()],
  )
