import type { Clock, Instant } from '../../clock.ts'
import { isWorkerEnd, type ErrorCode, type Failure } from '../../protocol/errors.ts'
import type { AgentId } from '../../protocol/ids.ts'
import type { JobId } from '../../protocol/ids.ts'
import { isOwnFault, reliabilityAfter } from '../../scheduler/reliability.ts'
import type { InferenceEvent, InferenceRequest } from '../inference.ts'
import type { RelayCommand, RelayRecord } from '../relay/relay-stream.ts'
import { elapsed } from '../timers.ts'
import type { RequestRecord, Store } from '../store/store.ts'
import type { RegistryWriter } from './registry-writer.ts'

type Ending = Extract<RelayCommand, { type: 'finish' | 'fail' | 'abandon' }>
type Settled = Omit<InferenceRequest, 'chat'>
type Served = Omit<RelayRecord, 'tokens'>

export type LostAttempt = Pick<RelayRecord, 'attempts' | 'tokens'> & {
  readonly jobId: JobId
  readonly agentId: AgentId
  readonly errorCode: ErrorCode
}

export type SettlementDeps = {
  readonly clock: Clock
  readonly store: Store
  readonly registry: RegistryWriter
  /** The reliability an agent has now; undefined for one that has left. */
  readonly reliabilityOf: (agentId: AgentId) => number | undefined
  readonly setReliability: (agentId: AgentId, reliability: number) => void
  /** An inference ended on the agent; `ok` false: it failed, and that was the machine's own doing. */
  readonly onOutcome: (agentId: AgentId, ok: boolean) => void
  /** One line and the counters for every request that has ended. */
  readonly onEnded: (request: RequestRecord) => void
  /** An attempt ended and another agent is looked for, who goes on behind the tokens accepted so far. */
  readonly onAttemptLost: (lost: LostAttempt) => void
  readonly onError: (error: unknown) => void
}

/**
 * What happens after a request's last token: usage is committed, then the client hears the end, so that nothing is
 * delivered and not counted; the agent's record follows.
 */
export class Settlement {
  readonly #deps: SettlementDeps
  readonly #pending = new Set<Promise<void>>()
  /** Agents that failed a job which has not ended yet; one that failed it twice counts once. */
  readonly #faults = new Map<JobId, Set<AgentId>>()

  constructor(deps: SettlementDeps) {
    this.#deps = deps
  }

  /** Resolves once everything that has ended so far is stored, or after `limitMs` when it is given. */
  async drained(limitMs?: number): Promise<void> {
    const stored = Promise.all(this.#pending)
    await (limitMs === undefined ? stored : Promise.race([stored, elapsed(limitMs)]))
  }

  settle(
    request: Settled,
    served: Served,
    ending: Ending,
    onEvent: (event: InferenceEvent) => void,
  ): void {
    const record = requestRecord(request, served, ending, this.#deps.clock.now())
    this.#deps.onEnded(record)
    const completedBy = ending.type === 'finish' ? served.agentId : null
    if (completedBy !== null) this.#completed(completedBy, record)
    this.#tellOutcomes(request.jobId, completedBy)
    const pending = this.#store(record)
      .then(
        () => tell(ending, onEvent),
        (error: unknown) => {
          this.#deps.onError(error)
          const message = 'the answer was given but its usage could not be recorded'
          const { usage } = ending
          if (ending.type !== 'abandon')
            onEvent({ type: 'failed', error: { code: 'internal', message }, usage })
        },
      )
      .finally(() => this.#pending.delete(pending))
    this.#pending.add(pending)
  }

  /** A request for a model that does not exist leaves no row: clients could fill the table with invented names. */
  #store(record: RequestRecord): Promise<void> {
    if (record.errorCode === 'model_not_found') return Promise.resolve()
    return this.#deps.store.settleRequest(record)
  }

  /** An attempt failed and the request goes on elsewhere. @param record as it is before the next attempt */
  attemptLost(
    jobId: JobId,
    { agentId, error }: Extract<RelayCommand, { type: 'retry' }>,
    { attempts, tokens }: RelayRecord,
  ): void {
    this.#deps.onAttemptLost({ jobId, agentId, attempts, tokens, errorCode: error.code })
    this.attemptFailed(jobId, agentId, error)
  }

  /** Puts an attempt's failure on the agent's record. */
  attemptFailed(jobId: JobId, agentId: AgentId, error: Failure): void {
    const type = isWorkerEnd(error.code) ? 'worker_died' : 'failed_request'
    const at = this.#deps.clock.now()
    this.#deps.registry.history({ agentId, type, at, metadata: { code: error.code } })
    this.#rate(agentId, error)
    if (!isOwnFault(error.code)) return
    const faults = this.#faults.get(jobId)
    if (faults === undefined) this.#faults.set(jobId, new Set([agentId]))
    else faults.add(agentId)
  }

  /**
   * Tells which machines' inferences worked. A request that several machines failed and none completed says more about
   * itself than about them.
   */
  #tellOutcomes(jobId: JobId, completedBy: AgentId | null): void {
    const faults = this.#faults.get(jobId) ?? new Set()
    this.#faults.delete(jobId)
    const isPoisonous = completedBy === null && faults.size > 1
    if (!isPoisonous) for (const agentId of faults) this.#deps.onOutcome(agentId, false)
    if (completedBy !== null) this.#deps.onOutcome(completedBy, true)
  }

  #completed(agentId: AgentId, record: RequestRecord): void {
    this.#deps.registry.history({
      agentId,
      type: 'completed_request',
      at: record.endedAt,
      metadata: { model: record.model, completionTokens: record.completionTokens },
    })
    this.#rate(agentId, null)
  }

  #rate(agentId: AgentId, error: Failure | null): void {
    const before = this.#deps.reliabilityOf(agentId)
    if (before === undefined) return
    const after = reliabilityAfter(before, error?.code ?? null)
    if (after === before) return
    this.#deps.setReliability(agentId, after)
    this.#deps.registry.reliability(agentId, after)
  }
}

function tell(ending: Ending, onEvent: (event: InferenceEvent) => void): void {
  const { usage } = ending
  if (ending.type === 'finish') onEvent({ type: 'finished', reason: ending.reason, usage })
  else if (ending.type === 'fail') onEvent({ type: 'failed', error: ending.error, usage })
}

function requestRecord(
  request: Settled,
  served: Served,
  ending: Ending,
  endedAt: Instant,
): RequestRecord {
  return {
    jobId: request.jobId,
    keyId: request.keyId,
    model: request.model,
    agentId: served.agentId,
    outcome: outcomes[ending.type],
    finishReason: ending.type === 'finish' ? ending.reason : null,
    errorCode: ending.type === 'fail' ? ending.error.code : null,
    ...ending.usage,
    attempts: served.attempts,
    receivedAt: request.receivedAt,
    firstTokenAt: served.firstTokenAt,
    endedAt,
  }
}

const outcomes = { finish: 'completed', fail: 'failed', abandon: 'cancelled' } as const
