import { runCommandLine } from '../run-command-line.ts'
import { buildFacts } from './build-facts.ts'
import { packedEngine } from './packed-engine.ts'

/* Entry of the executable; `script/build-agent.ts` embeds the runtime pack beside it. */

const [runtime] = Bun.embeddedFiles
if (buildFacts === null || runtime === undefined)
  throw new Error('this is the entry of the executable; in a checkout run src/agent/main.ts')

process.exit(await runCommandLine(process.argv.slice(2), packedEngine(buildFacts, runtime)))
