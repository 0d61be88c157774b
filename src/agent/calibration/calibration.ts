import type { Instant } from '../../clock.ts'
import type { DeviceMeasured } from '../../protocol/gpu.ts'
import { agentLimits } from '../agent-limits.ts'

/** A device to measure. Its fingerprint is another as soon as figures taken before say nothing any more. */
export type Target = { readonly deviceId: string; readonly fingerprint: string }

/** What is known of a target. */
export type Calibrated = Target & {
  /** Since the fingerprint is what it is. */
  readonly attempts: number
  /** Null: no attempt has ended yet. After failures all figures in it are null, and its reason says why. */
  readonly measured: DeviceMeasured | null
}

export type CalibrationEvent =
  /** The devices that are there now. */
  | { readonly type: 'devices'; readonly targets: readonly Target[] }
  /** Nobody wants anything of this machine, or somebody does. */
  | { readonly type: 'idle' }
  | { readonly type: 'busy' }
  /** @see Calibration.dueAt; `busyCores`: what others keep busy now, null when not known */
  | { readonly type: 'tick'; readonly busyCores: number | null }
  | { readonly type: 'measured'; readonly run: number; readonly measured: DeviceMeasured }
  /** It could not be measured; all figures are null and the reason is in it. */
  | { readonly type: 'failed'; readonly run: number; readonly measured: DeviceMeasured }
  /** The agent ends. */
  | { readonly type: 'stop' }

export type CalibrationCommand =
  | { readonly type: 'measure'; readonly run: number; readonly target: Target }
  /** At once: somebody waits for the device. */
  | { readonly type: 'stop'; readonly run: number }
  /** `calibrated` has changed. */
  | { readonly type: 'remember' }
  | { readonly type: 'log'; readonly level: 'info' | 'warn'; readonly text: string }

type Commands = readonly CalibrationCommand[]
type Run = {
  readonly run: number
  readonly target: Target
  readonly before: Calibrated | undefined
}

/**
 * When to measure which device. Pure: `handle(event, now)` returns commands, calibrator.ts performs them.
 *
 *     busy ⇄ idle ──quiet for a while──▶ measuring ──measured, failed──▶ idle
 *                                           └──── busy: stopped, and taken up later ────▶ busy
 *
 * One device at a time, and only while nobody wants the machine. An attempt is written down before it begins, so that
 * one that takes the agent or the machine down counts too; being interrupted does not.
 */
export class Calibration {
  readonly #known = new Map<string, Calibrated>()
  readonly #notBefore = new Map<string, Instant>()
  #targets: readonly Target[] = []
  #idleSince: Instant | null = null
  #interruptions = 0
  #running: Run | null = null
  #runs = 0
  #stopped = false

  /** @param known from former runs of the agent */
  constructor(known: readonly Calibrated[]) {
    for (const each of known) this.#known.set(each.deviceId, each)
  }

  /** What is to be remembered, the newest last. */
  get calibrated(): readonly Calibrated[] {
    return [...this.#known.values()]
  }

  get running(): boolean {
    return this.#running !== null
  }

  /** When `tick` is wanted next; null: not before another event. */
  get dueAt(): Instant | null {
    if (this.#idleSince === null || this.#running !== null || this.#stopped) return null
    const quietAt = this.#idleSince + this.#quietMs()
    const times = this.#targets
      .filter(target => this.#wants(target) !== 'nothing')
      .map(({ deviceId }) => Math.max(quietAt, this.#notBefore.get(deviceId) ?? 0))
    return times.length === 0 ? null : Math.min(...times)
  }

  handle(event: CalibrationEvent, now: Instant): Commands {
    if (this.#stopped) return []
    switch (event.type) {
      case 'devices':
        this.#targets = event.targets
        return this.#running === null || this.#isTarget(this.#running.target) ? [] : this.#giveUp()
      case 'idle':
        this.#idleSince ??= now
        return []
      case 'busy':
        return this.#busy()
      case 'tick':
        return this.#tick(event.busyCores, now)
      case 'measured':
      case 'failed':
        return this.#ended(event, now)
      case 'stop': {
        this.#stopped = true
        return this.#giveUp()
      }
    }
  }

  #busy(): Commands {
    this.#idleSince = null
    if (this.#running === null) return []
    this.#interruptions++
    return this.#giveUp()
  }

  #tick(busyCores: number | null, now: Instant): Commands {
    const { dueAt } = this
    if (dueAt === null || now < dueAt) return []
    const isDue = ({ deviceId }: Target) => now >= (this.#notBefore.get(deviceId) ?? 0)
    for (const target of this.#targets.filter(isDue)) {
      const wants = this.#wants(target)
      if (wants === 'figures' || (wants === 'calmer' && this.#isCalmer(target, busyCores)))
        return this.#begin(target)
      this.#notBefore.set(target.deviceId, now + agentLimits.calibrationRecheckMs)
    }
    return []
  }

  #begin(target: Target): Commands {
    const before = this.#knownOf(target)
    const run = ++this.#runs
    this.#running = { run, target, before }
    const { measured = null, attempts = 0 } = before ?? {}
    this.#remember({ ...target, attempts: attempts + 1, measured })
    return [{ type: 'remember' }, { type: 'measure', run, target }]
  }

  #ended(
    { type, run, measured }: Extract<CalibrationEvent, { type: 'measured' | 'failed' }>,
    now: Instant,
  ): Commands {
    if (this.#running?.run !== run) return []
    const { target, before } = this.#running
    this.#running = null
    this.#interruptions = 0
    this.#idleSince = this.#idleSince === null ? null : now
    const attempts = (before?.attempts ?? 0) + 1
    const goodBefore = before !== undefined && isGood(before)
    const waitMs =
      type === 'measured'
        ? agentLimits.calibrationRecheckMs
        : agentLimits.calibrationRetryMs * agentLimits.calibrationRetryFactor ** (attempts - 1)
    this.#notBefore.set(target.deviceId, now + waitMs)
    // Figures that were good do not become bad because they could not be taken anew.
    const kept = type === 'failed' && goodBefore ? before.measured : measured
    this.#remember({ ...target, attempts, measured: kept })
    return [{ type: 'remember' }, said(type, target, measured, attempts)]
  }

  #giveUp(): Commands {
    if (this.#running === null) return []
    const { run, target, before } = this.#running
    this.#running = null
    if (before === undefined) this.#known.delete(target.deviceId)
    else this.#remember(before)
    return [{ type: 'stop', run }, { type: 'remember' }]
  }

  /** `calmer`: figures are there, but a machine less busy might give better ones. */
  #wants(target: Target): 'figures' | 'calmer' | 'nothing' {
    const known = this.#knownOf(target)
    if (known === undefined) return 'figures'
    const { measured, attempts } = known
    if (measured === null || !isGood(known) || measured.reason !== null)
      return attempts < agentLimits.calibrationAttemptsMax ? 'figures' : 'nothing'
    const { busyCores = null } = measured
    return busyCores !== null && busyCores >= agentLimits.calibrationFewerBusyCores
      ? 'calmer'
      : 'nothing'
  }

  #isCalmer(target: Target, busyCores: number | null): boolean {
    const then = this.#knownOf(target)?.measured?.busyCores ?? null
    if (then === null || busyCores === null) return false
    return then - busyCores >= agentLimits.calibrationFewerBusyCores
  }

  #quietMs(): number {
    const { calibrationQuietMs, calibrationQuietMaxMs } = agentLimits
    return Math.min(calibrationQuietMaxMs, calibrationQuietMs * 2 ** this.#interruptions)
  }

  #knownOf({ deviceId, fingerprint }: Target): Calibrated | undefined {
    const known = this.#known.get(deviceId)
    return known?.fingerprint === fingerprint ? known : undefined
  }

  #isTarget({ deviceId, fingerprint }: Target): boolean {
    return this.#targets.some(
      target => target.deviceId === deviceId && target.fingerprint === fingerprint,
    )
  }

  #remember(calibrated: Calibrated): void {
    this.#known.delete(calibrated.deviceId)
    this.#known.set(calibrated.deviceId, calibrated)
    for (const oldest of this.#known.keys())
      if (this.#known.size > agentLimits.calibrationsRememberedMax) this.#known.delete(oldest)
  }
}

const isGood = ({ measured }: Calibrated): boolean => (measured?.decode ?? null) !== null

function said(
  type: 'measured' | 'failed',
  { deviceId }: Target,
  { decode, prefill, threads, reason }: DeviceMeasured,
  attempts: number,
): CalibrationCommand {
  if (type === 'measured') {
    const with_ = (threads ?? null) === null ? '' : `, ${threads} threads`
    const rate = (speed: typeof decode) => (speed === null ? '?' : speed.tokensPerS.toPrecision(3))
    const text = `measured ${deviceId}: ${rate(decode)} tokens/s, prompts ${rate(prefill)}${with_}`
    return { type: 'log', level: 'info', text: reason === null ? text : `${text}; ${reason}` }
  }
  const left = agentLimits.calibrationAttemptsMax - attempts
  const then = left > 0 ? 'it is tried again later' : 'not tried again until something changes'
  return { type: 'log', level: 'warn', text: `${deviceId} is not measured: ${reason}; ${then}` }
}
