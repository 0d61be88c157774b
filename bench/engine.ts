import os from 'node:os'
import { resolve } from 'node:path'
import { chooseThreads } from '../src/agent/threads.ts'
import { readMachine } from '../src/gpu/machine.ts'
import { CannotRun, type Benchmark, type Context } from './harness/context.ts'
import { MachineWatch } from './harness/machine.ts'
import { shuffled } from './harness/random.ts'
import { writeBenchModel } from './engine/bench-model.ts'
import { LlamaServer } from './engine/llama-server.ts'
import {
  measurePrompt,
  measureStreams,
  type PromptSample,
  type StreamsSample,
} from './engine/load.ts'
import { OurEngine } from './engine/our-engine.ts'
import { goalsOf, tablesOf, type EngineRound } from './engine/report.ts'
import type { Side, SideModel, SideName } from './engine/side.ts'
import { lookAtCpus } from './threads/sweep.ts'

const question = 'is the built-in worker as fast as llama-server, and are its batches full?'
const roundsUsual = 2
const streamCounts = [1, 2, 4, 8, 16]
/** The chat template's own, the answer to the first turn and the second question. */
const contextBesidePrompt = 1_024

export const engine: Benchmark = {
  name: 'engine',
  question,
  run: async context => {
    const { settings, folder, progress } = context
    const counts = streamCounts.filter(count => count <= settings.streams)
    progress('engine: the model')
    const { cpu } = await readMachine({ gpus: [] })
    const model: SideModel = {
      modelPath: settings.model === null ? await writeBenchModel(folder) : resolve(settings.model),
      contextTokens: Math.ceil((settings.prompt + contextBesidePrompt) / 256) * 256,
      slots: Math.max(...counts),
      threads: chooseThreads({
        ...cpu,
        chosen: null,
        calibrated: cpu.physicalCores,
        machineCores: os.cpus().length,
        busyCores: await lookAtCpus(),
      }),
    }
    const watch = new MachineWatch(context.loadAverageBefore)
    const ours = await OurEngine.start(model)
    try {
      const sides = new Map<SideName, Side>([['gpupool', ours]])
      if (settings.llamaServer !== null) {
        if (Bun.which(settings.llamaServer) === null)
          throw new CannotRun(`there is no llama-server at ${settings.llamaServer}`)
        sides.set('llama-server', await LlamaServer.start(settings.llamaServer, model, folder))
      }
      const rounds = await measureRounds(context, sides, counts, watch)
      return {
        name: 'engine',
        question,
        peers: [...sides.keys()].map(name => ({ name, version: `${model.threads} threads` })),
        tables: tablesOf(rounds, counts),
        goals: goalsOf(rounds, counts),
        notes: notesOf(settings.llamaServer !== null),
        quiet: watch.quiet,
        samples: rounds,
      }
    } finally {
      await ours.stop()
    }
  },
}

const notesOf = (hasPeer: boolean): readonly string[] => [
  'Both have the model in memory, and only one computes at a time. Text is greedy, prompts are new letters each time.',
  ...(hasPeer
    ? []
    : ['Only ours: say --llama-server PATH to measure llama.cpp’s own server beside it.']),
]

/** Alternates as closely as it can: the two sides of a figure are seconds apart. */
async function measureRounds(
  { settings, random, progress }: Context,
  sides: ReadonlyMap<SideName, Side>,
  counts: readonly number[],
  watch: MachineWatch,
): Promise<readonly EngineRound[]> {
  const pids = [...sides.values()].map(side => side.pid)
  const total = settings.rounds ?? roundsUsual
  const each = async <Sample>(measure: (side: Side) => Promise<Sample>) => {
    const samples: Partial<Record<SideName, Sample>> = {}
    for (const [name, side] of shuffled([...sides], random))
      samples[name] = await watch.during(pids, () => measure(side))
    return samples
  }
  // The first batches touch every page and warm up the code.
  await each(side => measureStreams(side, Math.max(...counts), 4, random))
  const rounds: EngineRound[] = []
  for (let round = 1; round <= total; round++) {
    const streams: Record<number, Partial<Record<SideName, StreamsSample>>> = {}
    for (const count of counts) {
      progress(`engine: round ${round} of ${total}, ${count} streams`)
      streams[count] = await each(side => measureStreams(side, count, settings.tokens, random))
    }
    progress(`engine: round ${round} of ${total}, a long prompt`)
    const prompt: Partial<Record<SideName, PromptSample>> = await each(side =>
      measurePrompt(side, settings.prompt, settings.tokens, random),
    )
    rounds.push({ streams, prompt, loadAverage: os.loadavg()[0] ?? 0 })
  }
  return rounds
}
