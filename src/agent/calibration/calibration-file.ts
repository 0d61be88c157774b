import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Type } from 'typebox'
import { Compile } from 'typebox/compile'
import { DeviceMeasuredSchema } from '../../protocol/gpu.ts'
import { agentLimits } from '../agent-limits.ts'
import { writeAtomically } from '../state-dir.ts'
import type { Calibrated } from './calibration.ts'

const FileSchema = Type.Object({
  /** Part of every fingerprint. */
  engineVersion: Type.String({ maxLength: 128 }),
  calibrated: Type.Array(
    Type.Object({
      deviceId: Type.String({ maxLength: 128 }),
      fingerprint: Type.String({ maxLength: 128 }),
      attempts: Type.Integer({ minimum: 0 }),
      measured: Type.Union([DeviceMeasuredSchema, Type.Null()]),
    }),
    { maxItems: agentLimits.calibrationsRememberedMax },
  ),
})
const fileCheck = Compile(FileSchema)

const pathIn = (dir: string): string => join(dir, 'calibration.json')

/** What is remembered, and of which build of the engine. */
export type RememberedCalibration = {
  readonly engineVersion: string
  readonly calibrated: readonly Calibrated[]
}

/** Reads what was measured before; null when the file is absent, damaged or of another version. */
export function readCalibration(dir: string): RememberedCalibration | null {
  try {
    const value: unknown = JSON.parse(readFileSync(pathIn(dir), 'utf8'))
    return fileCheck.Check(value) ? { ...value, calibrated: value.calibrated.map(ended) } : null
  } catch {
    return null
  }
}

/** An attempt that was begun and never ended took the agent or the machine down. */
const ended = (each: Calibrated): Calibrated => ({
  ...each,
  measured: each.measured ?? {
    ...noFigures,
    engine: 'unknown',
    atMs: 0,
    reason: 'the agent or the machine went down while this device was measured',
  },
})

export const noFigures = { decode: null, prefill: null, memoryUsableMb: null } as const

/** @throws StateError when the state directory does not take it */
export function writeCalibration(dir: string, remembered: RememberedCalibration): void {
  writeAtomically(pathIn(dir), `${JSON.stringify(remembered, null, 2)}\n`)
}
