import { fileURLToPath } from 'node:url'
import { pino } from 'pino'
import { createStartLlamaEngine, workerEnvironment } from '../../src/agent/engine/llama-engine.ts'
import { startAgent } from '../../src/agent/run.ts'
import { defaultStateDir, readEnrolment } from '../../src/agent/state-dir.ts'
import { processTimers } from '../../src/agent/timers.ts'
import { systemClock, wallClock } from '../../src/clock.ts'
import { readMachine } from '../../src/gpu/machine.ts'
import type { GpuProbe } from '../../src/gpu/probe.ts'
import { say } from '../harness/orders.ts'

/*
 * The real agent with another worker: everything is `agent run`'s, but the command that starts the engine is
 * mock-worker.ts, and no device is probed.
 */

const noGpus: GpuProbe = {
  inventory: () => Promise.resolve({ gpus: [], problems: [] }),
  readings: () => Promise.resolve([]),
}

const dir = defaultStateDir(process.env)
const enrolment = readEnrolment(dir)
if (enrolment === undefined) throw new Error(`nothing in ${dir}: the agent has not joined`)

const benchFolder = fileURLToPath(new URL('../', import.meta.url))
const agent = await startAgent({
  calibration: null,
  dir,
  enrolment,
  inventory: await readMachine({ gpus: [] }),
  probe: noGpus,
  startEngine: createStartLlamaEngine({
    command: [process.execPath, `${benchFolder}mock-worker.ts`],
    directory: benchFolder,
    environment: workerEnvironment(process.env),
    after: (ms, callback) => processTimers.after(ms, callback),
  }),
  chosenThreads: 1,
  idleUnloadMs: null,
  engineVersion: 'mock',
  clock: systemClock,
  wallClock,
  timers: processTimers,
  random: Math.random,
  log: pino({ level: 'info', base: null }, pino.destination({ dest: 2, sync: true })),
  announce: say,
})
process.once('SIGTERM', () => agent.stop())
process.exit(await agent.ended)
