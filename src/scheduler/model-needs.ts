import { memoryNeed, type MemoryNeed } from '../models/memory-need.ts'
import { servingRequest } from '../models/serving-need.ts'
import { limits } from '../protocol/limits.ts'
import type { ModelFacts } from './event.ts'

const bytesPerMb = 1024 ** 2

/** What a model takes in one way of loading it, MB; the worker's own share is on the side of the processor. */
export type Need = { readonly gpuMb: number; readonly cpuMb: number }

/**
 * What one model takes, by the number of layers on a GPU. Each figure is computed once, since computing goes over all
 * layers, and a decision must cost nothing of the kind.
 */
export class ModelNeeds {
  readonly #facts: ModelFacts
  readonly #needs = new Map<number | null, Need | string>()

  private constructor(facts: ModelFacts) {
    this.#facts = facts
  }

  /** The needs of a catalogue entry; forgotten with it. */
  static of(facts: ModelFacts): ModelNeeds {
    let needs = known.get(facts)
    if (needs === undefined) known.set(facts, (needs = new ModelNeeds(facts)))
    return needs
  }

  /** The output counts as a layer; null when only the size of the file is known. */
  get layers(): number | null {
    const { shape } = this.#facts
    return shape === null ? null : shape.layers.length + 1
  }

  /** Null when only the size of the file is known. A text: why the engine would not load the model. */
  withLayers(gpuLayers: number | null): Need | string | null {
    if (this.#facts.shape === null) return null
    let need = this.#needs.get(gpuLayers)
    if (need === undefined) this.#needs.set(gpuLayers, (need = this.#compute(gpuLayers)))
    return need
  }

  /** On a GPU alone; by the size of the file where nothing else is known. */
  get wholeMb(): number {
    const need = this.withLayers(this.layers)
    return need === null || typeof need === 'string' ? this.fileMb : need.gpuMb
  }

  get fileMb(): number {
    return this.#facts.sizeBytes / bytesPerMb
  }

  #compute(gpuLayers: number | null): Need | string {
    const { shape } = this.#facts
    if (shape === null) throw new Error('a model without a shape has no need that can be computed')
    const need = memoryNeed({ ...servingRequest(shape, this.#facts), gpuLayers })
    return typeof need === 'string' ? need : inMb(need)
  }
}

/** A model twice as large is another class of machines. */
const largerFactor = 2

/**
 * @returns MB of GPU memory that the smallest model of the catalogue takes which is larger than this one, whole and with its
 * headroom; Infinity: there is none
 */
export function largerModelMb(model: ModelFacts, catalogue: readonly ModelFacts[]): number {
  const own = ModelNeeds.of(model).wholeMb
  const larger = catalogue
    .filter(({ external }) => external === undefined)
    .map(other => ModelNeeds.of(other).wholeMb)
    .filter(mb => mb >= largerFactor * own)
  return Math.min(...larger) + limits.memoryHeadroomMb
}

/** By the catalogue's own object: a catalogue that is read anew starts over, and nothing has to be thrown away. */
const known = new WeakMap<ModelFacts, ModelNeeds>()

const inMb = ({ gpu, cpu, workerBytes }: MemoryNeed): Need => ({
  gpuMb: gpu.totalBytes / bytesPerMb,
  cpuMb: (cpu.totalBytes + workerBytes) / bytesPerMb,
})
