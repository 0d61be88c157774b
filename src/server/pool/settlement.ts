import type { Clock, Instant } from '../../clock.ts'
import type { ErrorCode, Failure } from '../../protocol/errors.ts'
import type { AgentId } from '../../protocol/ids.ts'
import type { JobId } from '../../protocol/ids.ts'
import type { InferenceEvent, InferenceRequest } from '../inference.ts'
import type { RelayCommand } from '../relay/relay-command.ts'
import type { RelayRecord } from '../relay/relay-stream.ts'
import { elapsed } from '../timers.ts'
import type { RequestRecord, Store } from '../store/store.ts'
import type { AttemptOutcomes, JudgedJob } from './attempt-outcomes.ts'

type Ending = Extract<RelayCommand, { type: 'finish' | 'fail' | 'abandon' }>
type Settled = Omit<InferenceRequest, 'chat'>
type SettledJob = JudgedJob & { readonly request: Settled }
type Served = Omit<RelayRecord, 'tokens'>

export type LostAttempt = Pick<RelayRecord, 'attempts' | 'tokens'> & {
  readonly jobId: JobId
  readonly agentId: AgentId
  readonly errorCode: ErrorCode
  /** Who was to take over when the attempt began, best first. */
  readonly fallbacks: readonly AgentId[]
}

export type SettlementDeps = {
  readonly clock: Clock
  readonly store: Store
  readonly outcomes: AttemptOutcomes
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

  constructor(deps: SettlementDeps) {
    this.#deps = deps
  }

  /** Resolves once everything that has ended so far is stored, or after `limitMs` when it is given. */
  async drained(limitMs?: number): Promise<void> {
    const stored = Promise.all(this.#pending)
    await (limitMs === undefined ? stored : Promise.race([stored, elapsed(limitMs)]))
  }

  settle(
    job: SettledJob,
    served: Served,
    end: Ending,
    onEvent: (event: InferenceEvent) => void,
  ): void {
    const { clock, outcomes, onEnded } = this.#deps
    const ending = this.#named(job, end)
    const record = requestRecord(job.request, served, ending, clock.now())
    onEnded(record)
    outcomes.jobEnded(job, ending.type === 'finish' ? served.agentId : null, ending.usage)
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
    job: SettledJob & Pick<LostAttempt, 'fallbacks'>,
    { agentId, error }: Pick<Extract<RelayCommand, { type: 'retry' }>, 'agentId' | 'error'>,
    { attempts, tokens }: RelayRecord,
  ): void {
    const { fallbacks } = job
    const { jobId } = job.request
    this.#deps.onAttemptLost({ jobId, agentId, attempts, tokens, errorCode: error.code, fallbacks })
    this.attemptFailed(job, agentId, error)
  }

  /** Puts an attempt's failure on the record of whoever was at fault. */
  attemptFailed(job: SettledJob, agentId: AgentId, error: Failure): void {
    this.#deps.outcomes.attemptFailed(job, agentId, error)
  }

  /** @returns why the request is not run anywhere any more; null: it may be */
  quarantine(job: Pick<SettledJob, 'content'>): Failure | null {
    return this.#deps.outcomes.quarantine(job)
  }

  /** That a request is poison says more than how its last worker ended. */
  #named(job: SettledJob, ending: Ending): Ending {
    if (ending.type !== 'fail') return ending
    return { ...ending, error: this.quarantine(job) ?? ending.error }
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
