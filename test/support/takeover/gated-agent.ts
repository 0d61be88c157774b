import { createStartLlamaEngine, sourceEngine } from '../../../src/agent/engine/llama-engine.ts'
import { createStartMeasuring } from '../../../src/agent/engine/measuring.ts'
import { prepareSourceWorker } from '../../../src/agent/engine/source-worker.ts'
import { runCommandLine } from '../../../src/agent/run-command-line.ts'
import { gateVariable, machineVariable } from './gate-message.ts'
import { buildVariable } from './other-build.ts'

/*
 * The real agent, except for the program that its workers run. What a worker may see of the environment is a closed list; the
 * tests' own variables are added here and nowhere else.
 */

const passed = Object.fromEntries(
  [gateVariable, machineVariable, buildVariable].map(name => [name, process.env[name] ?? '']),
)
const engine = {
  ...sourceEngine,
  command: [process.execPath, new URL('gated-worker.ts', import.meta.url).pathname],
  directory: process.env['GPUPOOL_AGENT_DIR'] ?? '',
  environment: { ...sourceEngine.environment, ...passed },
}

process.exit(
  await runCommandLine(process.argv.slice(2), {
    prepareEngine: () =>
      Promise.resolve({
        startEngine: createStartLlamaEngine(engine),
        startMeasuring: createStartMeasuring(sourceEngine),
        version: 'gated',
      }),
    prepareWorker: prepareSourceWorker,
  }),
)
