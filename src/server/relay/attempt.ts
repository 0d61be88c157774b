import type { Instant } from '../../clock.ts'
import type { AgentId, InstanceId } from '../../protocol/ids.ts'
import type { Started } from './relay-event.ts'

/** What the scheduler's lease says of an attempt. */
export type Place = {
  readonly agentId: AgentId
  readonly instanceId: InstanceId
  /** Tokens that a slot holds, prompt and answer together. */
  readonly contextTokens: number
}

/** One agent at work on a stream. */
export class Attempt implements Place {
  readonly number: number
  readonly agentId: AgentId
  readonly instanceId: InstanceId
  readonly contextTokens: number
  readonly assignedAt: Instant
  /** Somebody wants to know how long its first token takes. */
  isTimed = false
  /** What it said of its prompt; null: it has not begun. */
  prompt: Started | null = null
  /** Text-only frames. */
  textFrames = 0
  /** When it is given up unless it gets on; every token moves it. */
  giveUpAt: Instant

  constructor(number: number, place: Place, now: Instant, budgetMs: number) {
    this.number = number
    this.agentId = place.agentId
    this.instanceId = place.instanceId
    this.contextTokens = place.contextTokens
    this.assignedAt = now
    this.giveUpAt = now + budgetMs
  }
}
