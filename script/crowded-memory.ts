/**
 * `bun run test:crowded-memory [REQUESTS SEED]`: random requests to five models where two fit into memory, with real
 * workers, and what became of them. `npm test` does the same with a share of 25.
 */
import { systemClock } from '../src/clock.ts'
import { crowdMemory } from '../test/support/crowded-memory.ts'

const [requests = 200, seed = 1] = process.argv.slice(2).map(Number)
const begun = systemClock.now()
const { answers, rssGrowthBytes, ...figures } = await crowdMemory(requests, seed)
const seconds = Math.round((systemClock.now() - begun) / 1_000)
console.log(`${requests} requests of seed ${seed} in ${seconds} s:`, figures)
console.log(`memory of this process grew by ${Math.round(rssGrowthBytes / 1024 ** 2)} MB`)
const texts = [...answers.values()].map(seen => [...seen.keys()])
const isRight = texts.every(
  ([text, ...others]) => others.length === 0 && !text?.startsWith('failed'),
)
if (!isRight) console.log('answers differ:', answers)
const { endedInUse, workersMax, workersLeft } = figures
process.exitCode = isRight && endedInUse === 0 && workersMax <= 2 && workersLeft === 0 ? 0 : 1
