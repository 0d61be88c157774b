import type { Instant } from '../clock.ts'
import { noOutcomes, restoreErrorWindow, type ErrorWindow } from './error-window.ts'
import { restoreThermalWindow, type ThermalWindow } from './thermal-window.ts'

/** What is remembered of a machine's hardware over restarts: a plain value, to be stored as JSON. */
export type HealthRecord = {
  /** By device id; a device without events is left out. */
  readonly thermal: Readonly<Record<string, ThermalWindow>>
  /** Of the machine as a whole: an inference does not tell which device failed it. */
  readonly errors: ErrorWindow
}

export const emptyHealthRecord: HealthRecord = { thermal: {}, errors: noOutcomes }

/** A record out of a store. What is damaged, or was written by another version, is as if it had never been. */
export function restoreHealthRecord(stored: unknown, now: Instant): HealthRecord {
  const { thermal, errors } = asObject(stored)
  const windows = Object.entries(asObject(thermal)).flatMap(([id, window]) => {
    const restored = restoreThermalWindow(window, now)
    return restored === null ? [] : [[id, restored] as const]
  })
  return {
    thermal: Object.fromEntries(windows),
    errors: restoreErrorWindow(errors, now) ?? noOutcomes,
  }
}

const asObject = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? { ...value } : {}
