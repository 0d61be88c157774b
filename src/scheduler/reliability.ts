import { Type, type Static } from 'typebox'
import { Compile } from 'typebox/compile'
import type { Instant } from '../clock.ts'
import { limits } from '../protocol/limits.ts'

/**
 * Reliability is earned (specification, decision 3) and explains itself:
 *
 *     completed + 10 × 0.3
 *     ───────────────────────────────   − lateness of heartbeats − lost connections
 *     completed + 5 × failed + 10
 *
 * with counts that fade with time. docs/reliability.md has the reasons and a table of examples. One figure for an agent, not
 * one for each of its models: what a model does not get on with is kept by the model already (loads that fail, files in
 * quarantine), and evidence that is split in parts leaves everybody at the start for long.
 */
export const reliabilityAtStart = 0.3

/** The start counts as much as so many requests: the first twenty-five completed ones lead to 0.8. */
const startWeight = 10
/** At the 5 % of failures that make a machine unhealthy (1.2) it stands at 0.74: to ranking.ts a quarter slower than 0.94. */
const failureWeight = 5
/** Half of what is known is forgotten in a week: neither fame nor guilt lasts when nothing confirms it. */
const evidenceHalfLifeMs = 7 * 24 * 60 * 60 * 1000
/** More weighs no more, so that a machine that begins to fail after a million answers is known for it ten requests later. */
const evidenceMax = 100

/** The share of the newest heartbeat in the average: half of what is known is seven minutes old. */
const latenessGain = 0.05
/** A heartbeat that is later than its own interval says no more than one that is late by it. */
const latenessMsMax = limits.heartbeatIntervalMs
/** 3 s late on average cost 0.05. */
const latenessCostPerMs = 0.5 / limits.heartbeatIntervalMs
const latenessCostMax = 0.25

const lostHalfLifeMs = 24 * 60 * 60 * 1000
/** A connection that breaks every hour costs 0.2 within the day. */
const lostCost = 0.01
const lostCostMax = 0.2

const Amount = Type.Number({ minimum: 0 })
const ReliabilityRecordSchema = Type.Object({
  /** The counts are worth what they say at this time and half as much a half-life later. */
  asOf: Type.Number(),
  completed: Amount,
  /** Failures that were the machine's own. */
  failed: Amount,
  lostConnections: Amount,
  /** Moving average, by how much heartbeats come too late. */
  latenessMs: Amount,
})
/** What is remembered of an agent's conduct: a plain value, to be stored as JSON. */
export type ReliabilityRecord = Static<typeof ReliabilityRecordSchema>

const schema = Compile(ReliabilityRecordSchema)

/** @param reliability what was stored beside no record: it is taken for earned */
export function newReliabilityRecord(
  now: Instant,
  reliability = reliabilityAtStart,
): ReliabilityRecord {
  const excess = startWeight * (reliability - reliabilityAtStart)
  const completed = reliability < 1 ? Math.max(0, excess / (1 - reliability)) : evidenceMax
  const failed =
    reliability > 0 ? Math.max(0, -excess / (failureWeight * reliability)) : evidenceMax
  return bounded({ asOf: now, completed, failed, lostConnections: 0, latenessMs: 0 })
}

/** A record out of a store; what is none counts as none, and one from the future as one of now. */
export function restoreReliabilityRecord(
  stored: unknown,
  reliability: number,
  now: Instant,
): ReliabilityRecord {
  if (!schema.Check(stored)) return newReliabilityRecord(now, reliability)
  return bounded({ ...stored, asOf: Math.min(stored.asOf, now) })
}

export const afterCompletion = (record: ReliabilityRecord, now: Instant): ReliabilityRecord =>
  counted(record, now, { completed: 1 })

/** After a failure that was the machine's own; see attempt-cause.ts. */
export const afterFailure = (record: ReliabilityRecord, now: Instant): ReliabilityRecord =>
  counted(record, now, { failed: 1 })

export const afterLostConnection = (record: ReliabilityRecord, now: Instant): ReliabilityRecord =>
  counted(record, now, { lostConnections: 1 })

/** A failure of `failedAt` was not the machine's after all: what is left of it is taken back. */
export function withoutFailure(
  record: ReliabilityRecord,
  failedAt: Instant,
  now: Instant,
): ReliabilityRecord {
  const faded = fadedTo(record, now)
  const left = fading(now - failedAt, evidenceHalfLifeMs)
  return { ...faded, failed: Math.max(0, faded.failed - left) }
}

/** @param lateMs by how much it came later than its interval; early ones are 0 */
export function afterHeartbeat(record: ReliabilityRecord, lateMs: number): ReliabilityRecord {
  const late = Math.min(Math.max(lateMs, 0), latenessMsMax)
  return { ...record, latenessMs: record.latenessMs + latenessGain * (late - record.latenessMs) }
}

/** @returns 0 to 1 */
export const reliabilityOf = (record: ReliabilityRecord, now: Instant): number =>
  partsOf(fadedTo(record, now)).reliability

/** @returns for example "0.72 because 41 of 43 recent requests completed (0.79), heartbeats 3.0 s late on average (-0.05)" */
export function explainReliability(record: ReliabilityRecord, now: Instant): string {
  const faded = fadedTo(record, now)
  const { reliability, earned, latenessCost, lostCost: lost } = partsOf(faded)
  const completed = Math.round(faded.completed)
  const requests = completed + Math.round(faded.failed)
  const reasons = [
    requests === 0
      ? `nothing ran here lately, and an agent starts at ${reliabilityAtStart} (${earned.toFixed(2)})`
      : `${completed} of ${requests} recent requests completed (${earned.toFixed(2)})`,
  ]
  if (shows(latenessCost)) {
    const seconds = (faded.latenessMs / 1000).toFixed(1)
    reasons.push(`heartbeats ${seconds} s late on average (-${latenessCost.toFixed(2)})`)
  }
  if (shows(lost)) {
    const count = Math.max(1, Math.round(faded.lostConnections))
    const connections = count === 1 ? 'connection' : 'connections'
    reasons.push(`${count} ${connections} lost lately (-${lost.toFixed(2)})`)
  }
  return `${reliability.toFixed(2)} because ${reasons.join(', ')}`
}

/** Of two decimals. */
const shows = (cost: number): boolean => cost >= 0.005

function partsOf({ completed, failed, lostConnections, latenessMs }: ReliabilityRecord) {
  const earned =
    (completed + startWeight * reliabilityAtStart) /
    (completed + failureWeight * failed + startWeight)
  const latenessCost = Math.min(latenessCostMax, latenessCostPerMs * latenessMs)
  const lost = Math.min(lostCostMax, lostCost * lostConnections)
  return {
    earned,
    latenessCost,
    lostCost: lost,
    reliability: Math.max(0, earned - latenessCost - lost),
  }
}

function counted(
  record: ReliabilityRecord,
  now: Instant,
  more: Partial<Pick<ReliabilityRecord, 'completed' | 'failed' | 'lostConnections'>>,
): ReliabilityRecord {
  const faded = fadedTo(record, now)
  return bounded({
    ...faded,
    completed: faded.completed + (more.completed ?? 0),
    failed: faded.failed + (more.failed ?? 0),
    lostConnections: faded.lostConnections + (more.lostConnections ?? 0),
  })
}

function fadedTo(record: ReliabilityRecord, now: Instant): ReliabilityRecord {
  const ageMs = now - record.asOf
  if (ageMs <= 0) return record
  const evidence = fading(ageMs, evidenceHalfLifeMs)
  return {
    ...record,
    asOf: now,
    completed: record.completed * evidence,
    failed: record.failed * evidence,
    lostConnections: record.lostConnections * fading(ageMs, lostHalfLifeMs),
  }
}

const fading = (ageMs: number, halfLifeMs: number): number =>
  2 ** (-Math.max(0, ageMs) / halfLifeMs)

/** Beyond what weighs, completed and failed shrink alike. */
function bounded(record: ReliabilityRecord): ReliabilityRecord {
  const excess = (record.completed + record.failed) / evidenceMax
  if (excess <= 1) return record
  return { ...record, completed: record.completed / excess, failed: record.failed / excess }
}
