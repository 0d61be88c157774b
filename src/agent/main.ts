import packageJson from '../../package.json' with { type: 'json' }
import { runCommandLine } from './run-command-line.ts'

process.exit(
  await runCommandLine(process.argv.slice(2), {
    // Here and not above: the engine is loaded by nothing but the commands that use it.
    prepareEngine: async () => {
      const { sourceEngine, startLlamaEngine } = await import('./engine/llama-engine.ts')
      const { createStartMeasuring } = await import('./engine/measuring.ts')
      return {
        startEngine: startLlamaEngine,
        startMeasuring: createStartMeasuring(sourceEngine),
        version: `node-llama-cpp ${packageJson.dependencies['node-llama-cpp']}`,
      }
    },
    prepareWorker: async surroundings =>
      await (await import('./engine/source-worker.ts')).prepareSourceWorker(surroundings),
  }),
)
