import type { Instant } from '../clock.ts'
import type { GpuInventory, GpuReading } from '../protocol/gpu.ts'
import { agentLimits } from './agent-limits.ts'

/**
 * Which devices are there, by their readings. A device that answered and then falls silent several times in a row is
 * lost (a card off the bus, a driver that ended); one that never told anything is simply without sensors. Pure.
 */
export class DevicePresence {
  /** Silent readings in a row of every device that has answered; 0: it answers. */
  readonly #silent = new Map<string, number>()
  #lookedAt: Instant = 0

  /** @returns whether the machine is to be looked at anew: a device is lost or is back, or may be back */
  take(readings: readonly GpuReading[], now: Instant): boolean {
    let changed = false
    for (const reading of readings) {
      const before = this.#silent.get(reading.id)
      if (isSilent(reading)) continue
      changed ||= before !== undefined && before >= agentLimits.silentReadingsMax
      this.#silent.set(reading.id, 0)
    }
    const answering = new Set(
      readings.filter(reading => !isSilent(reading)).map(reading => reading.id),
    )
    for (const [id, silent] of this.#silent) {
      if (answering.has(id)) continue
      this.#silent.set(id, silent + 1)
      changed ||= silent + 1 === agentLimits.silentReadingsMax
    }
    // A probe that has forgotten a lost device reads it no more: only looking anew can find it again.
    const mayBeBack =
      this.#anyLost() && now - this.#lookedAt >= agentLimits.lostDeviceLookMs && !changed
    if (changed || mayBeBack) this.#lookedAt = now
    return changed || mayBeBack
  }

  /** Those that are not lost. */
  present(gpus: readonly GpuInventory[]): readonly GpuInventory[] {
    return gpus.filter(({ id }) => !this.#isLost(id))
  }

  #isLost(id: string): boolean {
    return (this.#silent.get(id) ?? 0) >= agentLimits.silentReadingsMax
  }

  #anyLost(): boolean {
    return [...this.#silent.keys()].some(id => this.#isLost(id))
  }
}

const isSilent = (reading: GpuReading): boolean =>
  Object.entries(reading).every(([name, fact]) => name === 'id' || fact === null)
