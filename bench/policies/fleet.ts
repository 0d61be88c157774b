import { judgeDevice } from '../../src/capability/judge-device.ts'
import type { MachineSpec, Speed } from './machine.ts'
import { inventoryOf, models } from './pool-policy.ts'

type Kind = {
  readonly card: readonly [name: string, memoryMb: number] | null
  readonly count: number
  readonly large: boolean
}

/** What people have: many small cards, some large ones, which alone hold the large model, and a few without any. */
const kinds: readonly Kind[] = [
  { card: ['NVIDIA GeForce RTX 4060', 8_188], count: 8, large: false },
  { card: ['NVIDIA GeForce RTX 3060', 12_288], count: 8, large: false },
  { card: ['NVIDIA GeForce RTX 3090', 24_576], count: 5, large: true },
  { card: ['NVIDIA GeForce RTX 4090', 24_564], count: 4, large: true },
  { card: null, count: 3, large: false },
]
/** Tokens per ms of a processor, for the small model. */
const processor: Speed = { prefillPerMs: 0.03, decodePerMs: 0.006 }
/** One in six does not bring every fifth job to its end, and nobody knows beforehand which. */
const flakyShare = 1 / 6
const flakyRate = 0.2
const failureRate = 0.005

/** Machines whose true speed is off the card's by what drivers, heat and owners do. */
export function machineSpecs(random: () => number): readonly MachineSpec[] {
  let id = 0
  return kinds.flatMap(({ card, count, large }) =>
    Array.from({ length: count }, (): MachineSpec => {
      const factor = 0.6 + 0.5 * random()
      const small = scaled(card === null ? processor : speedOf(card), factor)
      const ratio = models.small.sizeBytes / models.large.sizeBytes
      return {
        id: id++,
        card,
        speeds: large ? { small, large: scaled(small, ratio) } : { small },
        slots: card === null ? 1 : 4,
        crowding: card === null ? 0.9 : 0.1,
        failureRate: random() < flakyShare ? flakyRate : failureRate,
        latencyMs: 2 + 120 * random() ** 2,
      }
    }),
  )
}

function speedOf(card: readonly [string, number]): Speed {
  const inventory = inventoryOf(card)
  const [gpu] = inventory.gpus
  if (gpu === undefined) throw new Error('there is a card')
  const { decodeTokensPerS, prefillTokensPerS } = judgeDevice(inventory, gpu, 0).speed
  return {
    prefillPerMs: (prefillTokensPerS ?? 0) / 1_000,
    decodePerMs: (decodeTokensPerS ?? 0) / 1_000,
  }
}

const scaled = ({ prefillPerMs, decodePerMs }: Speed, factor: number): Speed => ({
  prefillPerMs: prefillPerMs * factor,
  decodePerMs: decodePerMs * factor,
})
