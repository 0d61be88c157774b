import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Type } from 'typebox'
import { Compile } from 'typebox/compile'
import { DeviceMeasuredSchema } from '../../protocol/gpu.ts'
import { agentLimits } from '../agent-limits.ts'
import { writeAtomically } from '../state-dir.ts'
import type { Calibrated } from './calibration.ts'

const FileSchema = Type.Object({
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

/** Reads what was measured before. A file that is absent, damaged or of another version is as good as none. */
export function readCalibrated(dir: string): readonly Calibrated[] {
  try {
    const value: unknown = JSON.parse(readFileSync(pathIn(dir), 'utf8'))
    return fileCheck.Check(value) ? value.calibrated.map(ended) : []
  } catch {
    return []
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
export function writeCalibrated(dir: string, calibrated: readonly Calibrated[]): void {
  writeAtomically(pathIn(dir), `${JSON.stringify({ calibrated }, null, 2)}\n`)
}
