import type { Instant } from '../clock.ts'
import type { GpuInventory } from '../protocol/gpu.ts'
import { limits } from '../protocol/limits.ts'
import { compareVersions } from './driver-version.ts'
import type { DriverJudgement } from './driver-blacklist.ts'
import { errorRateMax, errorTally, type ErrorWindow } from './error-window.ts'
import { thermalEventsIn24h, type ThermalWindow } from './thermal-window.ts'

/** Below it fp16 is slow and llama.cpp's newer kernels are missing (specification 1.2). */
export const computeCapabilityMin = '7.0'
/** From this many on the hardware counts as unreliable (specification 1.2). */
export const thermalEventsMax = 3

export type EligibilityFacts = {
  readonly gpu: Pick<
    GpuInventory,
    'vendor' | 'kind' | 'name' | 'vramTotalMb' | 'computeCapability'
  > &
    Partial<Pick<GpuInventory, 'memoryUsableMb' | 'measured'>>
  /** From the table of cards, for a driver too old to say. */
  readonly computeCapabilityByTable: string | null
  /** What the model in question takes of this device, MB; null when that is not known. Absent: no model is asked for. */
  readonly modelNeedMb?: number | null
  readonly driver: DriverJudgement
  readonly thermal: ThermalWindow
  readonly errors: ErrorWindow
  readonly now: Instant
}

export type PredicateName =
  'memory' | 'compute-capability' | 'driver' | 'thermal-events' | 'error-rate'

/** What one predicate says, in words with the figures. `known` false: its fact could not be read. */
export type Answer = {
  readonly predicate: PredicateName
  readonly passes: boolean
  readonly known: boolean
  readonly reason: string
}

export type Eligibility = { readonly eligible: boolean; readonly answers: readonly Answer[] }

type Said = Omit<Answer, 'predicate'>
type Predicate = (facts: EligibilityFacts) => Said

const predicates: Readonly<Record<PredicateName, Predicate>> = {
  memory: hasMemory,
  'compute-capability': canComputeFp16,
  driver: hasGoodDriver,
  'thermal-events': staysCool,
  'error-rate': worksMostly,
}

/** Whether a device may serve (specification 1.2). Every predicate answers, so that all reasons are told at once. */
export function judgeEligibility(facts: EligibilityFacts): Eligibility {
  const answers = (Object.keys(predicates) as PredicateName[]).map(predicate => ({
    predicate,
    ...predicates[predicate](facts),
  }))
  return { eligible: answers.every(answer => answer.passes), answers }
}

/**
 * Memory of a device that a model may take, MB; null when not known. What was measured counts where it is less: the
 * owner's desktop has the rest.
 */
export function modelMemoryMb(gpu: EligibilityFacts['gpu']): number | null {
  const told = gpu.memoryUsableMb ?? (gpu.kind === 'discrete' ? gpu.vramTotalMb : null)
  const measured = gpu.measured?.memoryUsableMb ?? null
  return told === null || measured === null ? (told ?? measured) : Math.min(told, measured)
}

const yes = (reason: string): Said => ({ passes: true, known: true, reason })
const no = (reason: string): Said => ({ passes: false, known: true, reason })

/** Unknown fails: a model that is loaded into too little memory takes the contributor's desktop down with it. */
function hasMemory({ gpu, modelNeedMb }: EligibilityFacts): Said {
  if (modelNeedMb === undefined) return yes('no model asked for')
  const haveMb = modelMemoryMb(gpu)
  if (haveMb === null)
    return { passes: false, known: false, reason: 'its memory could not be read' }
  if (modelNeedMb === null)
    return { passes: false, known: false, reason: 'what the model needs is not known' }
  const needMb = modelNeedMb + limits.memoryHeadroomMb
  const figures = `${Math.floor(haveMb)} MB, needed ${Math.ceil(needMb)} MB (the model's ${Math.ceil(modelNeedMb)} and ${limits.memoryHeadroomMb} headroom)`
  return haveMb >= needMb ? yes(figures) : no(figures)
}

/**
 * Unknown fails: drivers have told it for years, so silence means an old driver on what is mostly an old card, and the
 * table of cards is asked before.
 */
function canComputeFp16({ gpu, computeCapabilityByTable }: EligibilityFacts): Said {
  if (gpu.vendor !== 'nvidia') return yes('asked of NVIDIA only')
  const read = gpu.computeCapability ?? computeCapabilityByTable
  const order = read === null ? null : compareVersions(read, computeCapabilityMin)
  if (read === null || order === null) {
    const reason = `compute capability could not be read and ${gpu.name} is not in the table of cards; a newer driver tells it`
    return { passes: false, known: false, reason }
  }
  const origin = gpu.computeCapability === null ? ' by the table of cards' : ''
  const figures = `compute capability ${read}${origin}, needed ${computeCapabilityMin}`
  return order >= 0 ? yes(figures) : no(figures)
}

/** Unknown passes: bad drivers are few, and one that is bad shows in the error rate. */
function hasGoodDriver({ driver }: EligibilityFacts): Said {
  const told = driver.matches.map(entry => `${entry.reason} (${entry.workaround.text})`).join('; ')
  switch (driver.verdict) {
    case 'refused':
      return no(told)
    case 'helped':
      return yes(`works with a workaround: ${told}`)
    case 'warned':
      return yes(`to be known: ${told}`)
    case 'unknown':
      return { passes: true, known: false, reason: 'its driver version could not be read' }
    case 'clear':
      return yes('its driver is on no list')
  }
}

/** Unknown passes: a driver that never tells of throttling leaves no event, and work stops by temperature anyway. */
function staysCool({ thermal, now }: EligibilityFacts): Said {
  const events = thermalEventsIn24h(thermal, now)
  const figures = `${events} thermal ${events === 1 ? 'event' : 'events'} in 24 h, ${thermalEventsMax} are too many`
  return events < thermalEventsMax ? yes(figures) : no(figures)
}

/** Unknown passes: a machine that is new, or has served little, is not condemned for one early failure. */
function worksMostly({ errors, now }: EligibilityFacts): Said {
  const { outcomes, failed, rate } = errorTally(errors, now)
  const counts = `${failed} of ${outcomes} inferences failed in 24 h`
  if (rate === null)
    return { passes: true, known: false, reason: `${counts}, too few to speak of a rate` }
  const figures = `${counts}: ${percent(rate)}, allowed ${percent(errorRateMax)}`
  return rate <= errorRateMax ? yes(figures) : no(figures)
}

const percent = (share: number): string => `${Number((share * 100).toFixed(2))} %`
