import type { Instant } from '../clock.ts'
import { isOffered } from '../models/external-model.ts'
import type { ModelKind } from '../models/model-kind.ts'
import { limits } from '../protocol/limits.ts'
import type { ProtocolFeature } from '../protocol/version.ts'
import type { ModelFacts, Obstacle } from './event.ts'
import { instanceOf, isStranded, returnGraceMs, type Agent } from './agent.ts'

type Question = {
  readonly agent: Agent
  readonly model: ModelFacts
  readonly now: Instant
  /** Features that the job needs. */
  readonly needs: readonly ProtocolFeature[]
}
/** Predicates are small and named, so that "why did nobody take my request?" has an answer. */
type Predicate = (question: Question) => Obstacle | null

const predicates: readonly Predicate[] = [
  isConnected,
  isWanted,
  isNotDraining,
  isPunctual,
  isHealthy,
  offersIt,
  knowsItsKind,
  knowsItsOptions,
  loadedItBefore,
  canHold,
]

/**
 * @returns what stands in the way, null when nothing does. A lasting obstacle is told before a passing one, since only
 * the latter is worth waiting for.
 */
export function obstacle(
  agent: Agent,
  model: ModelFacts,
  now: Instant,
  needs: readonly ProtocolFeature[] = [],
): Obstacle | null {
  const question = { agent, model, now, needs }
  let passing: Obstacle | null = null
  for (const predicate of predicates) {
    const found = predicate(question)
    if (found?.passing === false) return found
    passing ??= found
  }
  return passing
}

const lasting = (reason: string): Obstacle => ({ reason, passing: false })

function isConnected({ agent, now }: Question): Obstacle | null {
  if (agent.connected) return null
  const passing = now - agent.disconnectedAt < returnGraceMs
  return { reason: 'not connected', passing, until: now + nextTryMs(now - agent.disconnectedAt) }
}

/**
 * An agent that is away waits twice as long before each try to come back (limits.ts), so within about the time that it
 * has been away it tries once more.
 * @returns ms from now
 */
export function nextTryMs(awayMs: number): number {
  const { reconnectDelayMinMs: min, reconnectDelayMaxMs: max, reconnectJitterRatio } = limits
  return Math.min(Math.max(awayMs, min), max) * (1 + reconnectJitterRatio)
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
  const reason = `could not load it (${failed.error}), asked again in ${seconds} s`
  return { reason, passing: false, until: failed.until }
}

function isHealthy({ agent }: Question): Obstacle | null {
  return agent.health.stopped
}

function offersIt({ agent, model: { external } }: Question): Obstacle | null {
  if (external === undefined || isOffered(external, agent.externalModels)) return null
  return lasting('no engine of its owner serves it now')
}

const kindsBeyondChat: Readonly<Partial<Record<ModelKind, readonly [ProtocolFeature, string]>>> = {
  embedding: ['embeddings', 'does not do embeddings; its version is older'],
  rerank: ['rerank', 'does not rerank; its version is older'],
}

/** An older agent would load the model and then not know what it is asked. */
function knowsItsKind({ agent, model: { kind = 'chat' } }: Question): Obstacle | null {
  const [feature, reason] = kindsBeyondChat[kind] ?? []
  if (feature === undefined || reason === undefined) return null
  return agent.features.includes(feature) ? null : lasting(reason)
}

const optionsBeyondBase: Readonly<Partial<Record<ProtocolFeature, string>>> = {
  sampling: 'does not know these sampling options; its version is older',
  logprobs: 'does not tell log probabilities; its version is older',
  grammar: 'cannot hold an answer to a form; its version is older',
}

export const knowsAll = (agent: Agent, needs: readonly ProtocolFeature[]): boolean =>
  needs.every(feature => agent.features.includes(feature))

/** An older agent would ignore the options and answer as if nobody had asked for them. */
function knowsItsOptions({ agent, needs }: Question): Obstacle | null {
  const missing = needs.find(feature => !agent.features.includes(feature))
  if (missing === undefined) return null
  return lasting(optionsBeyondBase[missing] ?? `does not know ${missing}; its version is older`)
}

/**
 * An agent that holds the model has proved that it fits; else the figures of its inventory decide. What was loaded on a
 * GPU stays there, and a GPU that may not serve any more gets no new work for it.
 */
function canHold({ agent, model }: Question): Obstacle | null {
  if (model.external !== undefined) return null
  const instance = instanceOf(agent, model)
  if (instance === undefined) {
    const { kind, reason } = agent.capacity.fit(model)
    return kind === 'none' ? lasting(reason) : null
  }
  if (!isStranded(agent, instance)) return null
  const reasons = agent.capacity.devices.map(({ gpu, refusal }) => `${gpu.name}: ${refusal}`)
  return lasting(`holds it on a device that may not serve: ${reasons.join('; ')}`)
}
