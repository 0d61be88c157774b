import { parseArgs } from 'node:util'
import { systemClock } from '../src/clock.ts'
import { runSeed, type Outcome } from './run-seed.ts'
import { agentsOf, shortHours } from './small-world.ts'

const usage = `bun run simulate [--seed N] [--agents A] [--hours H] [--seeds COUNT] [--quiet] [--json]

  --seed N       the first seed (default 1)
  --seeds COUNT  so many seeds, N and those behind it; a story is told of a single one alone (default 1)
  --agents A     agents in each world (default: drawn, 1 to 8)
  --hours H      simulated time in which things go wrong (default ${shortHours})
  --quiet        no story
  --json         one JSON line for each seed
`

function main(): number {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string', default: '1' },
      seeds: { type: 'string', default: '1' },
      agents: { type: 'string' },
      hours: { type: 'string', default: String(shortHours) },
      quiet: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    console.log(usage)
    return 0
  }
  const [first, count, hours] = [values.seed, values.seeds, values.hours].map(Number)
  if (first === undefined || count === undefined || hours === undefined) return 2
  const tellsStory = count === 1 && !values.quiet && !values.json
  const begunAt = systemClock.now()
  const broken: Outcome[] = []
  let events = 0
  for (let seed = first; seed < first + count; seed++) {
    const agents = values.agents === undefined ? agentsOf(seed) : Number(values.agents)
    const outcome = runSeed({ seed, agents, hours, tell: tellsStory ? console.log : null })
    events += outcome.events
    if (values.json) console.log(JSON.stringify(outcome))
    if (outcome.violation === null) continue
    broken.push(outcome)
    if (!values.json) console.log(`seed ${seed}: ${outcome.violation}`)
  }
  const seconds = (systemClock.now() - begunAt) / 1_000
  if (!values.json)
    console.log(
      `${count} seeds, ${events} events, ${broken.length} broken; ${seconds.toFixed(1)} s`,
    )
  return broken.length === 0 ? 0 : 1
}

process.exitCode = main()
