import packageJson from '../../package.json' with { type: 'json' }
import { driverWorkarounds, logWorkarounds, withWorkarounds } from './engine/driver-workarounds.ts'
import { runCommandLine } from './run-command-line.ts'

process.exit(
  await runCommandLine(process.argv.slice(2), {
    // Here and not above: the engine is loaded by nothing but the commands that use it.
    prepareEngine: async ({ inventory, log }) => {
      const { createStartLlamaEngine, sourceEngine } = await import('./engine/llama-engine.ts')
      const { createStartMeasuring } = await import('./engine/measuring.ts')
      const workarounds = driverWorkarounds(await inventory)
      logWorkarounds(workarounds, log)
      const options = withWorkarounds(sourceEngine, workarounds)
      return {
        startEngine: createStartLlamaEngine(options),
        startMeasuring: createStartMeasuring(options),
        version: `node-llama-cpp ${packageJson.dependencies['node-llama-cpp']}`,
      }
    },
    prepareWorker: async surroundings =>
      await (await import('./engine/source-worker.ts')).prepareSourceWorker(surroundings),
  }),
)
