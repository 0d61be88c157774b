import { Type, type Static } from 'typebox'
import { Compile } from 'typebox/compile'
import type { Instant } from '../clock.ts'

/** Outcomes count for a day, in steps of an hour: a setup that was repaired is free again the day after. */
export const errorWindowMs = 24 * 60 * 60 * 1000
const stepMs = 60 * 60 * 1000
const stepsMax = errorWindowMs / stepMs

/** Fewer outcomes say nothing about 5 %: with 20, one failure is allowed and two are not. */
export const outcomesMin = 20
/** A setup on which nothing has worked yet is judged sooner. */
export const outcomesMinWithoutSuccess = 5
/** Specification 1.2. */
export const errorRateMax = 0.05

const Count = Type.Integer({ minimum: 0 })
const ErrorWindowSchema = Type.Object({
  /** Oldest first, one per hour that saw an outcome. */
  steps: Type.Array(Type.Object({ startsAt: Type.Number(), ok: Count, failed: Count }), {
    maxItems: stepsMax + 1,
  }),
})
/** How a device's inferences ended: a plain value, to be stored as JSON and remembered over restarts. */
export type ErrorWindow = Static<typeof ErrorWindowSchema>

const schema = Compile(ErrorWindowSchema)

export const noOutcomes: ErrorWindow = { steps: [] }

/**
 * The window after one more inference. Count as failed only what the device or its setup did: not a request that its
 * client gave up, nor one that was refused.
 */
export function observeOutcome(window: ErrorWindow, ok: boolean, now: Instant): ErrorWindow {
  const startsAt = Math.floor(now / stepMs) * stepMs
  const steps = recent(window, now)
  const last = steps.at(-1)
  const current =
    last !== undefined && last.startsAt >= startsAt ? last : { startsAt, ok: 0, failed: 0 }
  const counted = ok
    ? { ...current, ok: current.ok + 1 }
    : { ...current, failed: current.failed + 1 }
  return { steps: [...(current === last ? steps.slice(0, -1) : steps), counted].slice(-stepsMax) }
}

export type ErrorTally = {
  readonly outcomes: number
  readonly failed: number
  /** 0 to 1; null while there are too few outcomes to speak of a rate. */
  readonly rate: number | null
}

/** What the last 24 hours say. */
export function errorTally(window: ErrorWindow, now: Instant): ErrorTally {
  const steps = recent(window, now)
  const failed = steps.reduce((sum, step) => sum + step.failed, 0)
  const outcomes = steps.reduce((sum, step) => sum + step.ok, failed)
  const needed = failed === outcomes ? outcomesMinWithoutSuccess : outcomesMin
  return { outcomes, failed, rate: outcomes < needed ? null : failed / outcomes }
}

const recent = (window: ErrorWindow, now: Instant): ErrorWindow['steps'] =>
  window.steps.filter(step => now - step.startsAt < errorWindowMs)

/** A window out of a file; null when it is not one. Hours that lie ahead are taken as this one, see the thermal window. */
export function restoreErrorWindow(stored: unknown, now: Instant): ErrorWindow | null {
  if (!schema.Check(stored)) return null
  const thisHour = Math.floor(now / stepMs) * stepMs
  const steps = stored.steps.map(step => ({ ...step, startsAt: Math.min(step.startsAt, thisHour) }))
  return { steps }
}
