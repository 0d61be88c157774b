import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import { join } from 'node:path'
import { agents } from './agents.ts'
import { engine } from './engine.ts'
import { BenchProcess } from './harness/bench-process.ts'
import { CannotRun, type Benchmark, type Context } from './harness/context.ts'
import { describeMachine } from './harness/machine.ts'
import { createRandom } from './harness/random.ts'
import { formatReport, notJudged, toJson, type Report, type Run } from './harness/report.ts'
import { parseSettings, settingsHelp, type Settings } from './harness/settings.ts'
import { memory } from './memory.ts'
import { policies } from './policies.ts'
import { relay } from './relay.ts'
import { scheduler } from './scheduler.ts'
import { takeover } from './takeover.ts'
import { threads } from './threads.ts'

const benchmarks: readonly Benchmark[] = [
  relay,
  takeover,
  agents,
  memory,
  threads,
  engine,
  scheduler,
  policies,
]

const exitCodes = { usage: 2, notJudged: 3, cannotRun: 4, interrupted: 130 } as const
let interrupted = false

const help = `usage: bun run bench [BENCHMARK…] [options]

Measures gpupool beside its peers, in one run, in random order, and prints medians with the
middle half of the rounds. Goals are printed beside the figures; nothing is asserted.

benchmarks
${benchmarks.map(({ name, question }) => `  ${name.padEnd(13)}  ${question}`).join('\n')}

${settingsHelp}

exit codes
  0  measured   2  wrong usage   3  measured, but the machine was too busy to judge it
  4  something that a benchmark needs is missing`

async function measure(settings: Settings, run: Run): Promise<readonly Report[]> {
  const loadAverageBefore = os.loadavg()[0] ?? 0
  const random = createRandom(settings.seed)
  const { pinned } = run.machine
  const cpus = { measured: pinned ? 0 : null, others: pinned ? 1 : null }
  const progress: Context['progress'] = text => process.stderr.write(`… ${text}\n`)
  const reports: Report[] = []
  for (const benchmark of benchmarks) {
    if (!settings.benchmarks.includes(benchmark.name)) continue
    const folder = await mkdtemp(join(os.tmpdir(), 'gpupool-bench-'))
    try {
      const report = await benchmark.run({
        settings,
        folder,
        random,
        loadAverageBefore,
        progress,
        cpus,
      })
      reports.push(report)
      if (!settings.json) process.stdout.write(`\n${formatReport(report, run)}\n`)
    } finally {
      await BenchProcess.stopAll()
      await rm(folder, { recursive: true, force: true })
    }
  }
  return reports
}

async function main(args: readonly string[]): Promise<number> {
  const known = benchmarks.map(({ name }) => name)
  const settings = parseSettings(args, known)
  if (settings === 'help') {
    process.stdout.write(`${help}\n`)
    return 0
  }
  if ('problem' in settings) {
    process.stderr.write(`${settings.problem}\n\n${help}\n`)
    return exitCodes.usage
  }
  if (process.platform !== 'linux') {
    process.stderr.write('the benchmarks read CPU time and memory from /proc: they need Linux\n')
    return exitCodes.cannotRun
  }
  const pinned = settings.pin && os.cpus().length > 1 && Bun.which('taskset') !== null
  const run: Run = {
    seed: settings.seed,
    startedAt: new Date().toISOString().slice(0, 16).replace('T', ' '),
    machine: describeMachine(pinned),
    forced: settings.force,
  }
  try {
    const reports = await measure(settings, run)
    if (settings.json) process.stdout.write(`${toJson(reports, run)}\n`)
    return reports.some(report => notJudged(report, run).length > 0) ? exitCodes.notJudged : 0
  } catch (error) {
    if (interrupted) return exitCodes.interrupted
    if (!(error instanceof CannotRun)) throw error
    process.stderr.write(`${error.message}\n`)
    return exitCodes.cannotRun
  }
}

// Ctrl-C: the processes end, their events fail to come, and the folder is removed on the way out.
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => {
    interrupted = true
    void BenchProcess.stopAll()
  })
process.exit(await main(process.argv.slice(2)))
