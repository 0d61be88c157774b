import type { Attempt, SentFrame, StopAt } from './gate-message.ts'
import type { Begun } from './gate.ts'
import type { Heard } from './heard.ts'
import type { Loss } from './losses.ts'
import type { Machine } from './machine.ts'
import { crowdMax, type TakeoverPool, type Undisturbed } from './pool.ts'

/** One answer that is cut. */
export type Run = {
  readonly answer: Undisturbed
  /** Where its first attempt stops and is lost, then its second one, and so on; see `StopAt`. */
  readonly stops: readonly number[]
}

/** What became of a run, by the client, the server's log and the workers that went on. */
export type Outcome = {
  readonly run: Run
  readonly heard: Heard
  readonly attempts: number
  /** Of each lost attempt: the tokens accepted by then, and why it ended. */
  readonly lost: readonly { readonly tokens: number; readonly errorCode: string }[]
  /** Of each further attempt: how many tokens it was given. */
  readonly replayed: readonly number[]
  /** Of the last attempt: which tokens it was given, and what it sent. */
  readonly last: { readonly tokenIds: readonly number[]; readonly frames: readonly SentFrame[] }
}

export type CampaignOptions = {
  /** The first for the first stops, and so on. */
  readonly losses: readonly Loss[]
  /** Machines are lost while they stand at the stop, or while they run on from there. */
  readonly moment: 'standing' | 'running'
  /** Which machine is lost first and which one goes on; left out, that is the pool's affair. */
  readonly between?: { readonly from: string; readonly to: string }
}

type Flight = { readonly run: Run; readonly stream: number; readonly answer: Promise<Heard> }

/**
 * Runs the answers of one crowd at once and loses their machine when each of them stands at its stop; then again for the
 * stops that follow.
 */
export class Campaign {
  readonly #pool: TakeoverPool
  readonly #options: CampaignOptions
  /** Machines that are on their way back. */
  #restarts: Promise<unknown> = Promise.resolve()
  /** Machines that were lost and are there again: with a model in memory, and with fewer workers left to be killed. */
  readonly #worn = new Set<Machine>()

  constructor(pool: TakeoverPool, options: CampaignOptions) {
    this.#pool = pool
    this.#options = options
  }

  async run(runs: readonly Run[]): Promise<readonly Outcome[]> {
    const outcomes: Outcome[] = []
    for (const crowd of crowdsOf(runs)) outcomes.push(...(await this.#crowd(crowd)))
    await this.#restarts
    return outcomes
  }

  async #crowd(runs: readonly Run[]): Promise<readonly Outcome[]> {
    const { gate } = this.#pool
    const { between } = this.#options
    if (between !== undefined) await this.#pool.leaveOnly(between.from)
    const before = await this.#pool.acceptedTokens()
    const flights: Flight[] = []
    for (const run of runs) flights.push(await this.#depart(run))
    for (const [attempt, loss] of this.#options.losses.entries()) {
      const begun = await Promise.all(flights.map(({ stream }) => gate.begun({ stream, attempt })))
      await Promise.all(begun.map(one => gate.standing(one)))
      const atStops = flights.reduce((sum, { run }) => sum + tokensAt(run, attempt), before)
      await this.#pool.accepted(atStops)
      if (between !== undefined) this.#restart(this.#pool.machine(between.to))
      await this.#restarts
      await this.#lose(flights, begun, { loss, before })
    }
    const outcomes: Outcome[] = []
    for (const flight of flights) outcomes.push(await this.#arrive(flight))
    await this.#recover()
    return outcomes
  }

  async #depart(run: Run): Promise<Flight> {
    const begun = this.#pool.gate.nextStream(run.stops[0] ?? null)
    const answer = this.#pool.ask(run.answer.request)
    const { stream } = await begun
    for (const [attempt, stopAt] of run.stops.entries())
      if (attempt > 0) this.#pool.gate.stopLater({ stream, attempt }, stopAt)
    return { run, stream, answer }
  }

  /**
   * @param what `before`: tokens that were accepted before the crowd
   * @returns once other workers have the streams
   */
  async #lose(
    flights: readonly Flight[],
    begun: readonly Begun[],
    { loss, before }: { readonly loss: Loss; readonly before: number },
  ): Promise<void> {
    const { gate } = this.#pool
    const workers = new Map(begun.map(({ machine, workerPid }) => [machine, workerPid]))
    const lost = [...workers].map(([name, pid]) => ({ machine: this.#pool.machine(name), pid }))
    const attempt = (begun[0]?.attempt ?? 0) + 1
    const followers = flights.map(({ stream }) => ({ stream, attempt }))
    if (loss.awake !== null)
      for (const [at, { run }] of flights.entries())
        gate.stopLater(followers[at]!, placeAfter(run, attempt - 1))
    if (this.#options.moment === 'running') for (const attempt of begun) gate.go(attempt)
    for (const { machine, pid } of lost) loss.cause(machine, pid)
    for (const attempt of begun) gate.go(attempt)
    for (const { machine } of lost)
      if (loss.endsAgent) this.#restart(machine)
      else this.#worn.add(machine)
    // Only machines that have the model in memory race one that is silent, so until now nobody did.
    if (loss.awake !== null) await this.#pool.loadBeside(lost.map(({ machine }) => machine))
    const goneOn = (begins: (follower: Attempt) => Promise<unknown>) =>
      Promise.all(flights.map(({ answer }, at) => Promise.race([begins(followers[at]!), answer])))
    await goneOn(follower => gate.begun(follower))
    if (loss.awake === null) return
    // All that the lost ones still had to say comes while those that follow them stand a little further on.
    await goneOn(follower => gate.standing(follower))
    await this.#pool.accepted(
      flights.reduce(
        (sum, { run }) => sum + (placeAfter(run, attempt - 1) ?? tokensAt(run, attempt - 1)),
        before,
      ),
    )
    for (const { machine } of lost) loss.awake(machine)
    await Promise.all(begun.map(one => gate.ended(one)))
    for (const follower of followers) gate.go(follower)
  }

  #restart(machine: Machine): void {
    this.#restarts = Promise.all([this.#restarts, machine.restart()])
  }

  /** Before the next crowd begins: it must not begin on a machine that is about to be restarted. */
  async #recover(): Promise<void> {
    for (const machine of this.#worn) this.#restart(machine)
    if (this.#worn.size > 0) await this.#restarts
    this.#worn.clear()
    // What a request's machines did wrong is counted at its end.
    for (const machine of this.#pool.machines.values()) await machine.forgive()
  }

  async #arrive({ run, stream, answer }: Flight): Promise<Outcome> {
    const heard = await answer
    const { attempts, lost } = await this.#pool.records.of(heard.jobId)
    const replayed: number[] = []
    for (let attempt = 1; attempt < attempts; attempt++)
      replayed.push((await this.#pool.gate.begun({ stream, attempt })).tokenIds.length)
    const last = { stream, attempt: attempts - 1 }
    const { tokenIds } = await this.#pool.gate.begun(last)
    const frames = await this.#pool.gate.ended(last)
    return { run, heard, attempts, lost, replayed, last: { tokenIds, frames } }
  }
}

/**
 * Dealt like cards, so that each crowd has something of every answer and of every part of it. That an attempt is silent before
 * its first token is noticed far later than afterwards, so those are among themselves.
 */
function crowdsOf(runs: readonly Run[]): readonly (readonly Run[])[] {
  const isAtStart = ({ stops }: Run) => stops[0] === 0
  return [runs.filter(isAtStart), runs.filter(run => !isAtStart(run))].flatMap(some => {
    const crowds = Math.ceil(some.length / crowdMax)
    return Array.from({ length: crowds }, (_, crowd) =>
      some.filter((_run, at) => at % crowds === crowd),
    )
  })
}

/** Tokens that are accepted when an attempt stands at its stop. */
export const tokensAt = ({ answer, stops }: Run, attempt: number): number =>
  Math.min(stops[attempt] ?? 0, answer.tokens)

/** Where a further attempt has sent a token or two, so that it is the one that goes on; null: there are none left to send. */
function placeAfter(run: Run, attempt: number): StopAt {
  const place = Math.min(tokensAt(run, attempt) + 2, run.answer.tokens)
  return place > tokensAt(run, attempt) ? place : null
}

/** Whether it was cut where it was meant to be: one attempt for each stop and one more, each lost one ended at its stop. */
export function counts({ run, attempts, lost, replayed }: Outcome): boolean {
  const meant = run.stops.map((_, attempt) => tokensAt(run, attempt))
  // A silent attempt is given up a token later, when the one that races it has sent one.
  const endedThere = ({ tokens, errorCode }: Outcome['lost'][number], at: number) =>
    tokens === meant[at] || (errorCode === 'stalled' && tokens - 1 === meant[at])
  return (
    attempts === meant.length + 1 &&
    lost.length === meant.length &&
    lost.every(endedThere) &&
    Bun.deepEquals(meant, replayed)
  )
}

/** Whether the client got what it would have got without any loss. */
export const isUnchanged = ({ run, heard }: Outcome): boolean =>
  Bun.deepEquals({ ...heard, jobId: '' }, { ...run.answer.heard, jobId: '' })
