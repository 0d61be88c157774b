import { nvmlReaderArgument } from '../../gpu/nvml-process.ts'
import { serveNvml } from '../../gpu/nvml-reader.ts'
import { runCommandLine } from '../run-command-line.ts'
import { buildFacts } from './build-facts.ts'
import { embeddedFile } from './embedded-file.ts'
import { packedEngine } from './packed-engine.ts'
import { preparePackedWorker } from './packed-worker.ts'

/* Entry of the executable; `script/build-agent.ts` embeds the runtime pack and the licence texts beside it. */

// NVML is asked in a process of its own, which is this same file with one argument.
if (process.argv[2] === nvmlReaderArgument) {
  await serveNvml(process.argv.slice(3))
  process.exit(0)
}

const runtime = embeddedFile('.zst')
if (buildFacts === null || runtime === null)
  throw new Error('this is the entry of the executable; in a checkout run src/agent/main.ts')

process.exit(
  await runCommandLine(process.argv.slice(2), {
    prepareEngine: packedEngine(buildFacts, runtime),
    prepareWorker: preparePackedWorker(buildFacts, runtime),
  }),
)
