import { modelMemoryMb } from '../capability/eligibility.ts'
import { judgeDevice } from '../capability/judge-device.ts'
import type { DeviceSpeed } from '../capability/score.ts'
import type { GpuInventory, Inventory } from '../protocol/gpu.ts'
import { limits } from '../protocol/limits.ts'
import type { ModelFacts } from './event.ts'
import { ModelNeeds, type Need } from './model-needs.ts'

/** A GPU as placement sees it. */
export type Device = {
  readonly gpu: GpuInventory
  /** 0 to 100 (specification 1.3). */
  readonly score: number
  readonly speed: DeviceSpeed
  /** Memory that a model may take; null when it could not be read. */
  readonly memoryMb: number | null
  /** Why it may not serve, whatever the model; null when it may. */
  readonly refusal: string | null
}

/**
 * How a machine can hold a model, best first: whole on one GPU, some layers on one, or in main memory alone. `reason`
 * says why it is no better, with the figures.
 */
export type Fit = {
  readonly kind: 'gpu' | 'partial' | 'cpu' | 'none'
  readonly device: Device | null
  readonly reason: string
}

/**
 * What one machine can hold. Its devices are judged once, and each model once: a decision only looks the answer up.
 * It never changes; a machine whose devices changed gets a new one.
 */
export class Capacity {
  readonly devices: readonly Device[]
  /** There are GPUs and none of them may serve: models must be loaded without them. */
  readonly mustNotUseGpu: boolean
  readonly #memoryMb: number
  /** By the catalogue's object, like `ModelNeeds`. */
  readonly #fits = new WeakMap<ModelFacts, Fit>()

  /** @param unfit devices that may not serve for what they did (heat), by id, with the reason */
  constructor(inventory: Inventory, unfit: Readonly<Record<string, string>> = {}) {
    this.#memoryMb = inventory.memoryTotalMb
    this.devices = inventory.gpus
      .map(gpu => deviceOf(inventory, gpu, unfit[gpu.id]))
      .sort((a, b) => b.score - a.score)
    this.mustNotUseGpu =
      this.devices.length > 0 && this.devices.every(device => device.refusal !== null)
  }

  fit(model: ModelFacts): Fit {
    let fit = this.#fits.get(model)
    if (fit === undefined) this.#fits.set(model, (fit = this.#judge(ModelNeeds.of(model))))
    return fit
  }

  #judge(needs: ModelNeeds): Fit {
    const shortfalls: string[] = []
    for (const device of this.devices) {
      const shortfall = this.#whole(device, needs)
      if (shortfall === null) return { kind: 'gpu', device, reason: `whole on ${device.gpu.name}` }
      shortfalls.push(`${device.gpu.name}: ${shortfall}`)
    }
    return this.#partial(needs, shortfalls) ?? this.#withoutGpu(needs, shortfalls)
  }

  /** @returns why the model is not whole on the device, null when it fits */
  #whole(device: Device, needs: ModelNeeds): string | null {
    if (device.refusal !== null) return device.refusal
    if (device.memoryMb === null) return 'what a model may take of its memory is not known'
    const need = needs.withLayers(needs.layers)
    if (typeof need === 'string') return need
    const gpuMb = need?.gpuMb ?? needs.fileMb
    const short = shortOf(gpuMb, device.memoryMb)
    if (short !== null) return short
    return need === null ? null : this.#mainMemoryShort(need, device)
  }

  #partial(needs: ModelNeeds, shortfalls: readonly string[]): Fit | null {
    if (needs.layers === null) return null
    let best: { readonly device: Device; readonly layers: number } | undefined
    for (const device of this.devices)
      // Only more layers than the best so far are of interest; the score's order decides between equals.
      for (let layers = needs.layers - 1; layers > (best?.layers ?? 0); layers--)
        if (this.#holds(device, needs.withLayers(layers))) best = { device, layers }
    if (best === undefined) return null
    const { device, layers } = best
    const where = `${layers} of ${needs.layers} layers on ${device.gpu.name}, the rest in main memory`
    return { kind: 'partial', device, reason: [where, ...shortfalls].join('; ') }
  }

  #holds(device: Device, need: Need | string | null): boolean {
    if (need === null || typeof need === 'string') return false
    if (device.refusal !== null || device.memoryMb === null) return false
    return (
      shortOf(need.gpuMb, device.memoryMb) === null && this.#mainMemoryShort(need, device) === null
    )
  }

  #withoutGpu(needs: ModelNeeds, shortfalls: readonly string[]): Fit {
    const need = needs.withLayers(null)
    const short =
      typeof need === 'string' ? need : shortOf(need?.cpuMb ?? needs.fileMb, this.#memoryMb)
    const kind = short === null ? 'cpu' : 'none'
    const where = short === null ? 'in main memory' : `does not fit main memory: ${short}`
    return { kind, device: null, reason: [where, ...shortfalls].join('; ') }
  }

  /** What lies beside the GPU has to fit too; a GPU without memory of its own takes its part from the same. */
  #mainMemoryShort({ gpuMb, cpuMb }: Need, { gpu }: Device): string | null {
    const short = shortOf(gpu.kind === 'discrete' ? cpuMb : cpuMb + gpuMb, this.#memoryMb)
    return short === null ? null : `main memory: ${short}`
  }
}

function deviceOf(inventory: Inventory, gpu: GpuInventory, unfit: string | undefined): Device {
  const { score, speed, eligible, reasons } = judgeDevice(inventory, gpu, 0)
  const refusal = eligible ? (unfit ?? null) : reasons.join('; ')
  return { gpu, score, speed, memoryMb: modelMemoryMb(gpu), refusal }
}

/** Specification 1.2: what the model takes, and the headroom beside it. */
function shortOf(modelMb: number, haveMb: number): string | null {
  const needMb = modelMb + limits.memoryHeadroomMb
  return haveMb >= needMb ? null : `${Math.floor(haveMb)} MB, needed ${Math.ceil(needMb)} MB`
}
