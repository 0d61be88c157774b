import type { ModelFacts } from './event.ts'
import type { Agent, Fleet } from './fleet.ts'

/** Room beside the weights that an agent must have (specification 1.2: model minimum + 512 MB). */
const memoryHeadroomMb = 512
const bytesPerMb = 1024 * 1024

/**
 * One reason why an agent cannot take a model, or null. Predicates are small and named, so that "why did nobody take
 * my request?" has an answer with figures.
 */
type Predicate = (agent: Agent, model: ModelFacts, fleet: Fleet) => string | null

const predicates: readonly Predicate[] = [
  agent => (agent.connected ? null : 'not connected'),
  agent => (agent.adminState === 'active' ? null : `${agent.adminState} by the operator`),
  agent => (agent.draining ? 'draining by its owner' : null),
  agent => (agent.standing.liveness === 'green' ? null : `late: ${agent.standing.liveness}`),
  memoryFits,
]

/** @returns why the agent cannot take the model, or null when it can */
export function infeasible(agent: Agent, model: ModelFacts, fleet: Fleet): string | null {
  for (const predicate of predicates) {
    const reason = predicate(agent, model, fleet)
    if (reason !== null) return reason
  }
  return null
}

/** An agent that holds the model has proved that it fits; else the figures of the header's machine decide. */
function memoryFits(agent: Agent, model: ModelFacts, fleet: Fleet): string | null {
  if (fleet.instanceOf(agent, model) !== undefined) return null
  const needMb = Math.ceil(model.sizeBytes / bytesPerMb) + memoryHeadroomMb
  const haveMb = memoryForModelsMb(agent)
  return haveMb >= needMb
    ? null
    : `needs ${needMb} MB with headroom, the largest memory is ${haveMb} MB`
}

/** The largest single memory a model could lie in: one GPU's, or the machine's own when that is larger. */
function memoryForModelsMb(agent: Agent): number {
  const vram = agent.inventory.gpus.map(gpu => gpu.vramTotalMb ?? 0)
  return Math.max(agent.inventory.memoryTotalMb, ...vram)
}
