import { pino } from 'pino'
import { wallClock } from '../../clock.ts'
import { sysfsAt } from '../../gpu/sysfs.ts'
import { createSystemProbe } from '../../gpu/system-probe.ts'
import type { PrepareWorker } from '../engine/worker-program.ts'
import { styleFor } from '../terminal-style.ts'
import { processTimers } from '../timers.ts'
import { formatDoctor } from './doctor-text.ts'
import { runDoctor } from './run-doctor.ts'

/** `doctor`. @returns the exit code: 0 when nothing is failing, else 1 */
export async function doctor(
  json: boolean,
  stateDir: string,
  prepareWorker: PrepareWorker,
): Promise<number> {
  const report = await runDoctor({
    stateDir,
    sysfs: sysfsAt(),
    platform: process.platform,
    arch: process.arch,
    probe: createSystemProbe(),
    prepareWorker,
    timers: processTimers,
    wallClock,
    log: pino({ level: 'silent' }),
  })
  process.stdout.write(
    json
      ? `${JSON.stringify(report)}\n`
      : formatDoctor(report, styleFor(process.stdout.isTTY, process.env)),
  )
  return report.healthy ? 0 : 1
}
