import { runCommandLine } from './run-command-line.ts'

process.exit(
  await runCommandLine(process.argv.slice(2), async () => {
    // Here and not above: the engine is loaded by nothing but `run`.
    const { startLlamaEngine } = await import('./engine/llama-engine.ts')
    return startLlamaEngine
  }),
)
