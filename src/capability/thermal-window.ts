import { Type, type Static } from 'typebox'
import { Compile } from 'typebox/compile'
import type { Instant } from '../clock.ts'
import type { GpuReading } from '../protocol/gpu.ts'

/** Thermal events count for a day (specification 1.2). */
export const thermalWindowMs = 24 * 60 * 60 * 1000
/**
 * Throttling that returns within this time is the same event: a card at its limit goes in and out of it many times a
 * minute, and three such seconds do not make unreliable hardware.
 */
export const thermalQuietMs = 10 * 60 * 1000
/** More than are needed to judge; the newest are kept. */
const eventsMax = 16

const ThermalWindowSchema = Type.Object({
  /** When each event began, oldest first. */
  events: Type.Array(Type.Number(), { maxItems: eventsMax }),
  /** When the device was last seen throttled by heat; null: never. */
  lastHotAt: Type.Union([Type.Number(), Type.Null()]),
})
/** A device's thermal events: a plain value, to be stored as JSON and remembered over restarts. */
export type ThermalWindow = Static<typeof ThermalWindowSchema>

const schema = Compile(ThermalWindowSchema)

export const noThermalEvents: ThermalWindow = { events: [], lastHotAt: null }

/** Whether heat slows the device down now, in the drivers' words; null when the driver does not say. */
export function isThrottledByHeat(reading: Pick<GpuReading, 'throttle_reasons'>): boolean | null {
  const reasons = reading.throttle_reasons ?? null
  return reasons === null ? null : reasons.some(reason => /thermal/i.test(reason))
}

/** The window after one more reading. What the driver did not say changes nothing. */
export function observeHeat(
  window: ThermalWindow,
  throttled: boolean | null,
  now: Instant,
): ThermalWindow {
  if (throttled !== true) return window
  const isNew = window.lastHotAt === null || now - window.lastHotAt > thermalQuietMs
  const events = isNew ? [...recent(window, now), now].slice(-eventsMax) : window.events
  return { events, lastHotAt: now }
}

/** Events that began within the last 24 hours. */
export const thermalEventsIn24h = (window: ThermalWindow, now: Instant): number =>
  recent(window, now).length

const recent = (window: ThermalWindow, now: Instant): number[] =>
  window.events.filter(at => now - at < thermalWindowMs)

/**
 * A window out of a file. Null when it is not one. Times that lie ahead are taken as now: a clock that was set back
 * since must neither forget an event nor keep it for longer than a day.
 */
export function restoreThermalWindow(stored: unknown, now: Instant): ThermalWindow | null {
  if (!schema.Check(stored)) return null
  const lastHotAt = stored.lastHotAt === null ? null : Math.min(stored.lastHotAt, now)
  return { events: stored.events.map(at => Math.min(at, now)), lastHotAt }
}
