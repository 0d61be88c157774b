import { systemClock } from '../clock.ts'
import { loadConfig, settingsHelp } from './config.ts'
import { createLog } from './log.ts'
import { startServer } from './start-server.ts'

/** Exit code for something that the operator can put right: a setting, a port, a lock. */
const exitWrongSetup = 2

const usage = `usage: bun run server [--help]

Runs one gpupool server: the API, the agents' listener and enrolment. Prints one line of JSON on standard output when it
is ready; logs go to standard error. Ctrl-C stops it.

${settingsHelp()}
`

async function main(args: readonly string[]): Promise<void> {
  if (args.length > 0) {
    const askedForHelp = args[0] === '--help' || args[0] === '-h'
    ;(askedForHelp ? process.stdout : process.stderr).write(usage)
    process.exitCode = askedForHelp ? 0 : exitWrongSetup
    return
  }
  const outcome = loadConfig(process.env)
  if ('problems' in outcome) {
    refuse(outcome.problems)
    return
  }
  const { config, warnings } = outcome
  const clock = systemClock
  const log = createLog({ level: config.logLevel, pretty: process.stderr.isTTY, clock })
  for (const reason of warnings) log.warn('setting', { reason })
  const server = await startServer(config, { clock, log })
  if ('problem' in server) {
    refuse([server.problem])
    return
  }
  const { apiUrl, enrolUrl, controlPort } = server
  const ready = { event: 'ready', apiUrl, enrolUrl, controlPort, dataDir: config.dataDir }
  process.stdout.write(`${JSON.stringify(ready)}\n`)
  log.info('ready', { url: apiUrl })
  const signal = await nextSignal()
  log.info('stopping', { signal })
  await server.stop()
  process.exit(0)
}

function refuse(problems: readonly string[]): void {
  process.stderr.write(
    `The server does not start:\n${problems.map(text => `  - ${text}\n`).join('')}`,
  )
  process.stderr.write('All settings: bun run server --help\n')
  process.exitCode = exitWrongSetup
}

/** The first signal to stop. A second one, while stopping, ends the process at once. */
function nextSignal(): Promise<NodeJS.Signals> {
  return new Promise(resolve => {
    let stopping = false
    const onSignal = (signal: NodeJS.Signals) => {
      if (stopping) process.exit(1)
      stopping = true
      resolve(signal)
    }
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal)
  })
}

await main(process.argv.slice(2))
