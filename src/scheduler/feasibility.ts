import type { Instant } from '../clock.ts'
import { limits } from '../protocol/limits.ts'
import type { ModelFacts } from './event.ts'
import type { Agent, Fleet } from './fleet.ts'

const bytesPerMb = 1024 * 1024

/** An agent whose connection broke is mostly back within seconds; requests wait that long before they are refused. */
const returnGraceMs = 10_000

/**
 * Why an agent cannot take a model now, in words with figures. A `passing` obstacle may be gone in a moment (a late
 * pong, a connection that is being made anew): nothing is placed there, but a request would rather wait than be refused.
 */
export type Obstacle = { readonly reason: string; readonly passing: boolean }

type Question = {
  readonly agent: Agent
  readonly model: ModelFacts
  readonly fleet: Fleet
  readonly now: Instant
}
/** Predicates are small and named, so that "why did nobody take my request?" has an answer. */
type Predicate = (question: Question) => Obstacle | null

const predicates: readonly Predicate[] = [
  isConnected,
  isWanted,
  isNotDraining,
  isPunctual,
  loadedItBefore,
  memoryFits,
]

/**
 * @returns what stands in the way, null when nothing does. A lasting obstacle is told before a passing one, since only
 * the latter is worth waiting for.
 */
export function obstacle(
  fleet: Fleet,
  agent: Agent,
  model: ModelFacts,
  now: Instant,
): Obstacle | null {
  let passing: Obstacle | null = null
  for (const predicate of predicates) {
    const found = predicate({ agent, model, fleet, now })
    if (found?.passing === false) return found
    passing ??= found
  }
  return passing
}

const lasting = (reason: string): Obstacle => ({ reason, passing: false })

function isConnected({ agent, now }: Question): Obstacle | null {
  if (agent.connected) return null
  return { reason: 'not connected', passing: now - agent.disconnectedAt < returnGraceMs }
}

function isWanted({ agent: { adminState } }: Question): Obstacle | null {
  return adminState === 'active' ? null : lasting(`${adminState} by the operator`)
}

function isNotDraining({ agent }: Question): Obstacle | null {
  return agent.draining ? lasting('draining by its owner') : null
}

function isPunctual({ agent: { standing } }: Question): Obstacle | null {
  if (standing.liveness === 'green') return null
  return { reason: `late: ${standing.status}`, passing: standing.status !== 'offline' }
}

function loadedItBefore({ agent, model, now }: Question): Obstacle | null {
  const failed = agent.failedLoads.get(model.sha256)
  if (failed === undefined || now >= failed.until) return null
  const seconds = Math.ceil((failed.until - now) / 1_000)
  return lasting(`could not load it (${failed.error}), asked again in ${seconds} s`)
}

/** An agent that holds the model has proved that it fits; else the figures of its inventory decide. */
function memoryFits({ agent, model, fleet }: Question): Obstacle | null {
  if (fleet.instanceOf(agent, model) !== undefined) return null
  const needMb = Math.ceil(model.sizeBytes / bytesPerMb) + limits.memoryHeadroomMb
  const haveMb = memoryForModelsMb(agent)
  if (haveMb >= needMb) return null
  return lasting(`needs ${needMb} MB with headroom, the largest memory is ${haveMb} MB`)
}

/** The largest single memory a model could lie in: one GPU's, or the machine's own when that is larger. */
function memoryForModelsMb(agent: Agent): number {
  const vram = agent.inventory.gpus.map(gpu => gpu.vramTotalMb ?? 0)
  return Math.max(agent.inventory.memoryTotalMb, ...vram)
}
