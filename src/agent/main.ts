import packageJson from '../../package.json' with { type: 'json' }
import { runCommandLine } from './run-command-line.ts'

process.exit(
  await runCommandLine(process.argv.slice(2), async () => {
    // Here and not above: the engine is loaded by nothing but `run`.
    const { checkoutOptions, startLlamaEngine } = await import('./engine/llama-engine.ts')
    const { createStartMeasuring } = await import('./engine/measuring.ts')
    return {
      startEngine: startLlamaEngine,
      startMeasuring: createStartMeasuring(checkoutOptions),
      version: `node-llama-cpp ${packageJson.dependencies['node-llama-cpp']}`,
    }
  }),
)
