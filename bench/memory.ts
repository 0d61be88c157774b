import { getLlama } from 'node-llama-cpp'
import type { Benchmark } from './harness/context.ts'
import { MachineWatch } from './harness/machine.ts'
import { formatTable, type Table } from './harness/table.ts'
import { memoryCases, type MemoryCase } from './memory/cases.ts'
import {
  compareMemory,
  tolerance,
  type MemoryComparison,
  type SideComparison,
} from './memory/compare.ts'

const exitCodes = { holds: 0, off: 1 } as const
const question = 'does the estimate from the header agree with what llama.cpp takes?'

export const memory: Benchmark = {
  name: 'memory',
  question,
  run: async ({ progress }) => {
    const watch = new MachineWatch()
    const comparisons = await watch.during([], () => compareAll(progress))
    const verdict = verdictOf(comparisons)
    return {
      name: 'memory',
      question,
      peers: [],
      tables: tablesOf(comparisons),
      goals: [
        { what: 'estimates that hold', goal: 'all', measured: verdict.text, met: verdict.holds },
      ],
      notes: ['Buffers do not depend on how busy the machine is.'],
      quiet: watch.quiet,
      samples: comparisons.map(({ case: { name }, ...figures }) => ({ name, ...figures })),
    }
  },
}

async function compareAll(progress: (text: string) => void): Promise<readonly MemoryComparison[]> {
  const ways = await offloads()
  const comparisons: MemoryComparison[] = []
  for (const memoryCase of memoryCases)
    for (const way of ways) {
      progress(`memory: ${memoryCase.name}`)
      comparisons.push(await compareMemory(memoryCase, way(memoryCase)))
    }
  return comparisons
}

/** Without a GPU: one way. With one: nothing, half and everything on it. */
async function offloads(): Promise<readonly ((memoryCase: MemoryCase) => number | null)[]> {
  const llama = await getLlama({
    gpu: 'auto',
    build: 'never',
    skipDownload: true,
    progressLogs: false,
    logger: () => undefined,
  })
  const hasGpu = llama.gpu !== false
  await llama.dispose()
  if (!hasGpu) return [() => null]
  return [() => 0, ({ layers }) => Math.ceil(layers / 2), ({ layers }) => layers + 1]
}

function verdictOf(comparisons: readonly MemoryComparison[]): {
  readonly holds: boolean
  readonly text: string
} {
  const sides = comparisons.flatMap(each => each.sides)
  const off = sides.filter(({ holds }) => !holds).length
  const allowed = `${tolerance.share * 100} % or ${mb(tolerance.bytes)} MiB, whichever is larger`
  return { holds: off === 0, text: `${sides.length - off} of ${sides.length} within ${allowed}` }
}

const tablesOf = (comparisons: readonly MemoryComparison[]): readonly Table[] => [
  {
    title: 'estimated/taken, MiB: by the header alone, and as llama.cpp reports its buffers',
    columns: ['', 'weights', 'cache', 'compute', 'output', 'all', 'off', '', ''],
    rows: comparisons.flatMap(each => each.sides.map(side => rowOf(each, side))),
  },
  {
    title: 'cross-check, MiB: resident size of the process after one batch',
    columns: ['', 'estimated', 'resident'],
    rows: comparisons.map(each => [
      nameOf(each),
      mb(each.residentEstimatedBytes),
      mb(each.residentBytes),
    ]),
  },
]

function rowOf(comparison: MemoryComparison, each: SideComparison): readonly string[] {
  const { gpuLayers } = comparison
  const pair = (key: 'weightsBytes' | 'kvCacheBytes' | 'computeBytes' | 'outputBytes'): string =>
    `${mb(each.estimated[key])}/${mb(each.taken[key])}`
  const off = each.estimatedBytes - each.takenBytes
  return [
    gpuLayers === null ? nameOf(comparison) : `${nameOf(comparison)}: ${each.side}`,
    pair('weightsBytes'),
    pair('kvCacheBytes'),
    pair('computeBytes'),
    pair('outputBytes'),
    `${mb(each.estimatedBytes)}/${mb(each.takenBytes)}`,
    `${off < 0 ? '' : '+'}${mb(off)}`,
    `${((100 * off) / Math.max(1, each.takenBytes)).toFixed(1)} %`,
    each.holds ? 'holds' : 'OFF',
  ]
}

const nameOf = ({ case: { name }, gpuLayers }: MemoryComparison): string =>
  gpuLayers === null ? name : `${name}, ${gpuLayers} on GPU`

const mb = (bytes: number): string => (bytes / 1024 ** 2).toFixed(Math.abs(bytes) < 1e7 ? 1 : 0)

async function main(): Promise<number> {
  const comparisons = await compareAll(text => process.stderr.write(`… ${text}\n`))
  const verdict = verdictOf(comparisons)
  console.log(`${tablesOf(comparisons).map(formatTable).join('\n\n')}\n\n${verdict.text}`)
  return verdict.holds ? exitCodes.holds : exitCodes.off
}

if (import.meta.main) process.exit(await main())
