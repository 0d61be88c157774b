import { runCommandLine } from './run-command-line.ts'

process.exit(
  await runCommandLine(process.argv.slice(2), {
    // Here and not above: the engine is loaded by nothing but the commands that use it.
    prepareEngine: async () => (await import('./engine/llama-engine.ts')).startLlamaEngine,
    prepareWorker: async surroundings =>
      await (await import('./engine/source-worker.ts')).prepareSourceWorker(surroundings),
  }),
)
