import os from 'node:os'
import { join } from 'node:path'
import { calibrationModel } from '../src/agent/calibration/calibration-model.ts'
import { chooseThreads } from '../src/agent/threads.ts'
import { readMachine, readMemory } from '../src/gpu/machine.ts'
import { writeSyntheticGguf } from '../src/models/synthetic-gguf.ts'
import type { CpuInventory } from '../src/protocol/gpu.ts'
import { BenchProcess } from './harness/bench-process.ts'
import { CannotRun, type Benchmark, type Context } from './harness/context.ts'
import { MachineWatch } from './harness/machine.ts'
import type { Goal } from './harness/report.ts'
import type { Table } from './harness/table.ts'
import { countsOf, lookAtCpus, measureThreads, type Count } from './threads/sweep.ts'

const question =
  'does the agent choose as many threads as are fastest, on an idle and on a busy machine?'
const roundsUsual = 3
const goalRatio = 0.9
/** The hogs end by themselves when nobody ends them. */
const hogMs = 300_000

/** What the agent would start an engine with, under one load. */
type Choice = {
  readonly situation: string
  /** As calibration found it. */
  readonly calibrated: number
  /** After what is busy was taken off. */
  readonly threads: number
  readonly busyCores: number
  readonly counts: readonly Count[]
}

export const threads: Benchmark = {
  name: 'threads',
  question,
  run: async context => {
    const { cpu } = await readMachine({ gpus: [] })
    const watch = new MachineWatch(context.loadAverageBefore)
    // Later what is busy is our own: the sweeps and the hogs.
    await watch.during([], lookAtCpus)
    const modelPath = await writeModel(context.folder, cpu)
    const choices = await compare(context, cpu, modelPath)
    return {
      name: 'threads',
      question,
      peers: [],
      tables: [choiceTable(choices), ...choices.filter(isSweep).map(sweepTable)],
      goals: choices.map(goalOf),
      notes: [
        'Worth: answer tokens per second of requests with four prompt tokens for each token of the answer.',
      ],
      quiet: watch.quiet,
      samples: choices,
    }
  },
}

async function writeModel(folder: string, cpu: CpuInventory): Promise<string> {
  const made = calibrationModel({
    kind: 'cpu',
    availableMemoryBytes: readMemory().availableBytes,
    diskFreeBytes: Infinity,
    lastCacheBytes: cpu.cacheBytes?.l3 ?? null,
  })
  if ('problem' in made) throw new CannotRun(made.problem)
  const path = join(folder, 'model.gguf')
  await writeSyntheticGguf(path, made.model, 'random')
  return path
}

async function compare(
  { settings, folder, progress }: Context,
  cpu: CpuInventory,
  modelPath: string,
): Promise<readonly Choice[]> {
  const rounds = settings.rounds ?? roundsUsual
  const situation = async (name: string) => {
    progress(`threads: ${name}: calibration`)
    const busyCores = await lookAtCpus()
    const { threads: calibrated } = await measureThreads(modelPath, cpu.physicalCores, 'search')
    const sweeps = []
    for (let round = 1; round <= rounds; round++) {
      progress(`threads: ${name}: full sweep ${round} of ${rounds}`)
      sweeps.push(await measureThreads(modelPath, cpu.physicalCores, 'all'))
    }
    return { calibrated, busyCores, counts: countsOf(sweeps) }
  }
  const choose = (calibrated: number, busyCores: number) =>
    chooseThreads({
      ...cpu,
      chosen: null,
      calibrated,
      machineCores: os.cpus().length,
      busyCores,
    })
  const idle = await situation('idle')
  const hogs = Array.from({ length: Math.max(1, Math.floor(cpu.physicalCores / 2)) }, (_, at) =>
    startHog(at, folder),
  )
  await Promise.all(hogs.map(hog => hog.next('spinning')))
  const busy = await situation(`${hogs.length} busy`)
  await Promise.all(hogs.map(hog => hog.stop()))
  return [
    { situation: 'idle', ...idle, threads: choose(idle.calibrated, idle.busyCores) },
    {
      ...busy,
      situation: `${hogs.length} busy, calibrated idle`,
      calibrated: idle.calibrated,
      threads: choose(idle.calibrated, busy.busyCores),
    },
    {
      ...busy,
      situation: `${hogs.length} busy, calibrated busy`,
      threads: choose(busy.calibrated, busy.busyCores),
    },
  ]
}

const startHog = (at: number, folder: string): BenchProcess =>
  new BenchProcess({
    name: `hog-${at}`,
    args: [join(import.meta.dir, 'threads', 'hog.ts'), String(hogMs)],
    env: {},
    folder,
    cpu: null,
  })

/** The two busy choices share their sweeps. */
const isSweep = (_: Choice, at: number): boolean => at < 2

const ratioOf = ({ counts, threads: chosen }: Choice): number => {
  const best = Math.max(...counts.map(count => count.worth))
  return (counts.find(count => count.threads === chosen)?.worth ?? 0) / best
}

const choiceTable = (choices: readonly Choice[]): Table => ({
  title: 'choice of the agent, by the side of every other',
  columns: ['', 'busy cores', 'calibrated', 'chosen', 'best of sweep', 'choice/best'],
  rows: choices.map(choice => [
    choice.situation,
    choice.busyCores.toFixed(1),
    String(choice.calibrated),
    String(choice.threads),
    String(bestOf(choice).threads),
    ratioOf(choice).toFixed(2),
  ]),
})

const bestOf = ({ counts }: Choice): Count =>
  counts.reduce((best, count) => (count.worth > best.worth ? count : best))

const sweepTable = ({ situation, counts }: Choice): Table => ({
  title: `full sweep, ${situation.split(',')[0]}: tokens/s`,
  columns: ['threads', 'answer', 'prompt', 'worth'],
  rows: counts.map(count => [
    String(count.threads),
    count.decodeTokensPerS.toFixed(1),
    count.prefillTokensPerS.toFixed(0),
    count.worth.toFixed(1),
  ]),
})

const goalOf = (choice: Choice): Goal => ({
  what: `choice/best of sweep, ${choice.situation}`,
  goal: `≥ ${goalRatio}`,
  measured: ratioOf(choice).toFixed(2),
  met: ratioOf(choice) >= goalRatio,
})
