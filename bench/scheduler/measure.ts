import type { InstanceId, JobId } from '../../src/protocol/ids.ts'
import type { ModelFacts, SchedulerEvent } from '../../src/scheduler/event.ts'
import { Scheduler } from '../../src/scheduler/scheduler.ts'
import { plainPlacement } from '../../test/support/plain-placement.ts'
import { shuffled } from '../harness/random.ts'
import { fleetEvents, modelsOf, nextTurn, uuid, type Conversation } from './fleet.ts'

export type Sizes = {
  readonly agents: number
  readonly models: number
  readonly decisions: number
  readonly plainDecisions: number
}

/** One round with free slots. Times in ns; `each` is sorted. */
export type Round = {
  readonly decisionNs: number
  readonly releaseNs: number
  readonly each: Float64Array
  readonly plainNs: number
  /** One look into a table of as many ids as there are jobs: what this machine takes for the commonest step. */
  readonly lookupNs: number
}

/** With every slot taken: what it takes to give one that became free to the one whose turn it is, and to line up another. */
export type QueueRound = { readonly handOverNs: number; readonly lineUpNs: number }

type Request = Extract<SchedulerEvent, { type: 'request' }>

const tenants = 40
const conversations = 20_000
const slotsAnAgent = 12
/** Of all slots, while nobody waits. */
const busyShare = 0.4
/** Enough that a clock reading is nothing beside it, and few enough that requests are as fresh in memory as in a server. */
const batch = 100
const waitingAtOnce = 800

/** A pool in use: requests of conversations that go on come and end. */
export class SchedulerUnderLoad {
  readonly #scheduler = new Scheduler()
  readonly #sizes: Sizes
  readonly #random: () => number
  readonly #models: readonly ModelFacts[]
  readonly #conversations: readonly Conversation[]
  #running: JobId[] = []
  #jobs = 0
  #now = 1_000_000

  constructor(sizes: Sizes, random: () => number) {
    this.#sizes = sizes
    this.#random = random
    this.#models = modelsOf(sizes.models)
    for (const event of fleetEvents(this.#models, sizes.agents, random))
      this.#scheduler.handle(event, this.#now)
    this.#conversations = Array.from({ length: conversations }, (_, id) => ({
      model: `model-${this.#below(sizes.models)}`,
      id,
      turns: 0,
    }))
    const busy = Math.floor(sizes.agents * slotsAnAgent * busyShare)
    while (this.#running.length < busy) this.#place(this.#requests(batch))
  }

  round(): Round {
    const { decisions, plainDecisions } = this.#sizes
    let decisionNs = 0
    let releaseNs = 0
    const each = new Float64Array(decisions)
    for (let at = 0; at < decisions; at += batch) {
      const requests = this.#requests(batch)
      const start = Bun.nanoseconds()
      this.#place(requests)
      decisionNs += Bun.nanoseconds() - start
      releaseNs += this.#release(batch)
      this.#placeOneByOne(this.#requests(batch), each, at)
      this.#release(batch)
    }
    return {
      decisionNs: decisionNs / decisions,
      releaseNs: releaseNs / decisions,
      each: each.toSorted(),
      plainNs: this.#plain(plainDecisions),
      lookupNs: this.#lookup(decisions),
    }
  }

  /** After it the pool is full. */
  queueRound(): QueueRound {
    this.#fill()
    const { decisions } = this.#sizes
    let handOverNs = 0
    let lineUpNs = 0
    let handOvers = 0
    for (let left = decisions / 10; left > 0; left--) {
      const [jobId] = this.#running.splice(this.#below(this.#running.length), 1)
      if (jobId === undefined) throw new Error('the pool is full')
      const [request] = this.#requests(1)
      const start = Bun.nanoseconds()
      const commands = this.#scheduler.handle({ type: 'release', jobId }, ++this.#now)
      const between = Bun.nanoseconds()
      const lease = commands.find(command => command.type === 'lease')
      if (request === undefined) throw new Error('there are requests')
      if (lease !== undefined) {
        handOvers++
        handOverNs += between - start
        this.#running.push(lease.jobId)
      }
      const before = Bun.nanoseconds()
      const told = this.#scheduler.handle(request, ++this.#now)
      lineUpNs += Bun.nanoseconds() - before
      if (told[0]?.type === 'lease') this.#running.push(request.jobId)
    }
    return { handOverNs: handOverNs / handOvers, lineUpNs: (10 * lineUpNs) / decisions }
  }

  #fill(): void {
    while (this.#scheduler.waiting < waitingAtOnce)
      for (const request of this.#requests(batch)) {
        if (this.#scheduler.waiting >= waitingAtOnce) break
        const [told] = this.#scheduler.handle(request, ++this.#now)
        if (told?.type === 'lease') this.#running.push(request.jobId)
      }
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit)
  }

  /** Made before they are timed: ids, hashes and prompts are the server's work. */
  #requests(count: number): readonly Request[] {
    return Array.from({ length: count }, () => {
      const conversation = this.#conversations[this.#below(conversations)]
      if (conversation === undefined) throw new Error('there are conversations')
      if (conversation.turns > 7) conversation.turns = 0
      const job = this.#jobs++
      return {
        type: 'request',
        jobId: uuid(job, 3) as JobId,
        model: conversation.model,
        tenant: uuid(conversation.id % tenants, 5),
        costTokens: 600,
        prefixes: nextTurn(conversation, tenants),
        spareInstanceId: uuid(job, 4) as InstanceId,
      }
    })
  }

  #place(requests: readonly Request[]): void {
    for (const request of requests) this.#scheduler.handle(request, ++this.#now)
    for (const { jobId } of requests) this.#running.push(jobId)
  }

  /** A clock is read once a decision, and its reading counts. */
  #placeOneByOne(requests: readonly Request[], each: Float64Array, from: number): void {
    let at = from
    let before = Bun.nanoseconds()
    for (const request of requests) {
      this.#scheduler.handle(request, ++this.#now)
      const after = Bun.nanoseconds()
      each[at++] = after - before
      before = after
    }
    for (const { jobId } of requests) this.#running.push(jobId)
  }

  /** In an order of its own: jobs do not end as they began. */
  #release(count: number): number {
    this.#running = [
      ...shuffled(this.#running.slice(0, 4 * count), this.#random),
      ...this.#running.slice(4 * count),
    ]
    const jobs = this.#running.splice(0, count)
    const start = Bun.nanoseconds()
    for (const jobId of jobs) this.#scheduler.handle({ type: 'release', jobId }, ++this.#now)
    return Bun.nanoseconds() - start
  }

  #lookup(count: number): number {
    const ids = this.#running
    const table = new Map(ids.map((id, at) => [id, at]))
    const asked = Array.from({ length: count }, () => ids[this.#below(ids.length)])
    let found = 0
    const start = Bun.nanoseconds()
    for (const id of asked) if (id !== undefined && table.has(id)) found++
    const ns = Bun.nanoseconds() - start
    if (found !== count) throw new Error('every id is in the table')
    return ns / count
  }

  /** The same question without an index: look at everybody, leave out who cannot, sort. */
  #plain(count: number): number {
    const nobody: ReadonlySet<never> = new Set()
    const wish = { needs: [], avoided: nobody, banned: nobody, fallbacks: [], prefixes: [] }
    const asked = this.#models.slice(0, count)
    const start = Bun.nanoseconds()
    for (const model of asked) plainPlacement(this.#scheduler.agents(), model, wish, this.#now)
    return (Bun.nanoseconds() - start) / asked.length
  }
}
