import { Type, type Static } from 'typebox'

/** What a check looks at, in the order of the report. */
export const checkNames = [
  'surroundings',
  'devices',
  'driver',
  'serving',
  'libraries',
  'permissions',
  'engine',
  'memory',
  'disk',
  'agent',
  'identity',
  'name',
  'ports',
  'certificate',
  'clock',
  'pool',
] as const

/**
 * One line of the report. `failing`: the agent cannot do its work, or not with the device in question. `warning`: it
 * can, and something is not as it should be. `skipped`: could not be asked, and why.
 */
export const FindingSchema = Type.Object({
  check: Type.Enum([...checkNames]),
  status: Type.Union([
    Type.Literal('ok'),
    Type.Literal('warning'),
    Type.Literal('failing'),
    Type.Literal('skipped'),
  ]),
  text: Type.String(),
  /** What the owner can do; null where there is nothing to do. Never null for `warning` and `failing`. */
  todo: Type.Union([Type.String(), Type.Null()]),
})
export type Finding = Static<typeof FindingSchema>
export type CheckName = Finding['check']

/** What `doctor --json` prints. Fields may be added; `schemaVersion` grows when one changes its meaning or goes. */
export const DoctorReportSchema = Type.Object({
  schemaVersion: Type.Literal(1),
  version: Type.String(),
  hostname: Type.String(),
  /** Whether nothing is failing; the exit code is 0 then, else 1. */
  healthy: Type.Boolean(),
  findings: Type.Array(FindingSchema),
})
export type DoctorReport = Static<typeof DoctorReportSchema>

/** The lines that one check can say; those that want something done cannot be made without saying what. */
export const says = (check: CheckName) => ({
  ok: (text: string): Finding => ({ check, status: 'ok', text, todo: null }),
  skipped: (text: string): Finding => ({ check, status: 'skipped', text, todo: null }),
  warning: (text: string, todo: string): Finding => ({ check, status: 'warning', text, todo }),
  failing: (text: string, todo: string): Finding => ({ check, status: 'failing', text, todo }),
})
