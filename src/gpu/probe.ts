import type { GpuInventory, GpuReading } from '../protocol/gpu.ts'
import type { MemoryModule } from './memory-bandwidth-dmi.ts'

/**
 * What one way of asking found. A problem is a text for the owner of the machine (a driver that does not answer, for
 * example); it never stops the agent, and no device is made up for it.
 */
export type GpuFindings = {
  readonly gpus: readonly GpuInventory[]
  readonly problems: readonly string[]
  /** Modules of main memory, where the same look at the system tells them (Windows: a second one takes a second). */
  readonly memoryModules?: readonly MemoryModule[]
}

/** Looks at the devices of this machine. A fact or reading that cannot be read is null, never guessed. */
export type GpuProbe = {
  /** What the devices are. Read once, when the agent starts. */
  inventory(): Promise<GpuFindings>
  /** What the devices are doing now; every id of the inventory is there, with nulls when nothing is known. */
  readings(): Promise<readonly GpuReading[]>
}

/** The reading of a device about which nothing can be read. */
export const unknownReading = (id: string): GpuReading => ({
  id,
  temperature_c: null,
  vram_used_mb: null,
  vram_total_mb: null,
  utilization_pct: null,
  power_w: null,
})
