import type { Request } from './trace.ts'

/** What a simulated machine is, as it really is. */
export type MachineSpec = {
  readonly id: number
  readonly card: readonly [name: string, memoryMb: number] | null
  /** With one stream, by model; a model that is absent is not held. */
  readonly speeds: Readonly<Partial<Record<Request['model'], Speed>>>
  readonly slots: number
  /** How much slower each stream is for another one beside it. */
  readonly crowding: number
  /** Share of the jobs that it does not bring to an end. */
  readonly failureRate: number
  readonly latencyMs: number
}
export type Speed = { readonly prefillPerMs: number; readonly decodePerMs: number }

/** One request on its way through the pool, attempts included. */
export type Job = {
  readonly request: Request
  /** Tokens of the answer that earlier attempts have brought. */
  tokensDone: number
  firstTokenMs: number | null
  endedMs: number | null
  attempts: number
}

type Running = {
  readonly job: Job
  readonly slot: Slot
  readonly speed: Speed
  promptLeft: number
  answerLeft: number
  /** Where the attempt breaks; 0: at its end. */
  readonly leftOnFailure: number | null
}
type Slot = { busy: boolean; kept: Request | null; usedMs: number }

export type Ending = { readonly job: Job; readonly failed: boolean }

/** Tokens of prompts that a worker computes between two tokens of its answers (agent/worker/batch-strategy.ts). */
const pieceTokens = 512

/**
 * A machine as a fluid, with a worker's rhythm: prompts take turns piece by piece, and answers go on side by side, one token
 * after each piece while there are prompts. Time moves from one end of something to the next.
 */
export class Machine {
  readonly spec: MachineSpec
  readonly #slots: Readonly<Record<Request['model'], readonly Slot[]>>
  readonly #running: Running[] = []
  #nowMs = 0

  constructor(spec: MachineSpec) {
    this.spec = spec
    const slots = () =>
      Array.from({ length: spec.slots }, () => ({ busy: false, kept: null, usedMs: 0 }))
    this.#slots = { small: slots(), large: slots() }
  }

  get load(): number {
    return this.#running.length
  }

  holds(model: Request['model']): boolean {
    return this.spec.speeds[model] !== undefined
  }

  hasRoom(model: Request['model']): boolean {
    return this.holds(model) && this.#slots[model].some(slot => !slot.busy)
  }

  /** Tokens of the prompt that some free slot has. */
  keptOf(request: Request): number {
    const free = this.#slots[request.model].filter(slot => !slot.busy)
    return Math.max(0, ...free.map(slot => common(slot.kept, request)))
  }

  /** Drawn once for a request and a machine, so that it happens under every policy. */
  fails({ id }: Request): boolean {
    return (
      (Math.imul(id * 31 + this.spec.id + 7, 0x9e3779b1) >>> 0) / 2 ** 32 < this.spec.failureRate
    )
  }

  /** What the prompts before it and the one itself will take: a look ahead that only a clairvoyant has. */
  msToFirstToken(request: Request, promptTokens: number): number {
    const speed = this.spec.speeds[request.model]
    if (speed === undefined) return Infinity
    const before = this.#running.reduce(
      (ms, each) => ms + each.promptLeft / each.speed.prefillPerMs,
      0,
    )
    const own = (promptTokens - this.keptOf(request)) / speed.prefillPerMs
    return before + own + this.spec.latencyMs
  }

  start(job: Job, nowMs: number): void {
    const { request } = job
    const speed = this.spec.speeds[request.model]
    const free = this.#slots[request.model].filter(slot => !slot.busy)
    const [slot] = free.toSorted(
      (a, b) => common(b.kept, request) - common(a.kept, request) || a.usedMs - b.usedMs,
    )
    if (slot === undefined || speed === undefined) throw new Error('there is no slot')
    const promptTokens = request.promptTokens + job.tokensDone
    const answerLeft = request.answerTokens - job.tokensDone
    const fails = this.fails(request)
    job.attempts++
    slot.busy = true
    this.#running.push({
      job,
      slot,
      speed,
      promptLeft: Math.max(1, promptTokens - common(slot.kept, request)),
      answerLeft,
      leftOnFailure: fails ? answerLeft * (1 - ((request.id * 7) % 10) / 10) : null,
    })
    slot.kept = null
    this.#nowMs = nowMs
  }

  /** When something ends next; `advance` has been called for now. */
  nextMs(): number {
    const pace = this.#pace()
    let next = Infinity
    for (const each of this.#running)
      next = Math.min(next, this.#left(each) / this.#perMs(each, pace))
    return this.#nowMs + next
  }

  /** @returns what has ended by then; `toMs` is not after `nextMs()` */
  advance(toMs: number): readonly Ending[] {
    const ms = toMs - this.#nowMs
    const pace = this.#pace()
    this.#nowMs = toMs
    const tokens = this.#running.map(each => ms * this.#perMs(each, pace))
    const ended: Running[] = []
    for (const [at, each] of this.#running.entries()) {
      const done = tokens[at] ?? 0
      if (each.promptLeft > 0) {
        each.promptLeft -= done
        if (each.promptLeft >= tiny) continue
        each.promptLeft = 0
        each.job.firstTokenMs ??= toMs + this.spec.latencyMs
      } else {
        each.answerLeft -= done
        if (this.#left(each) < tiny) ended.push(each)
      }
    }
    return ended.map(each => this.#end(each, toMs))
  }

  #end(running: Running, nowMs: number): Ending {
    const { job, slot, leftOnFailure } = running
    this.#running.splice(this.#running.indexOf(running), 1)
    const failed = leftOnFailure !== null
    slot.busy = false
    slot.usedMs = nowMs
    slot.kept = failed ? null : job.request
    job.tokensDone = failed
      ? Math.round(job.request.answerTokens - running.answerLeft)
      : job.request.answerTokens
    if (!failed) job.endedMs = nowMs + this.spec.latencyMs
    return { job, failed }
  }

  #left({ promptLeft, answerLeft, leftOnFailure }: Running): number {
    return promptLeft > 0 ? promptLeft : answerLeft - (leftOnFailure ?? 0)
  }

  #pace(): Pace {
    const prompts = this.#running.filter(each => each.promptLeft > 0)
    const answers = this.#running.length - prompts.length
    const pieceMs = prompts.reduce(
      (ms, { speed }) => ms + pieceTokens / speed.prefillPerMs / prompts.length,
      0,
    )
    const answering = this.#running.filter(each => each.promptLeft === 0)
    const tokenMs =
      answering.reduce((ms, { speed }) => ms + 1 / speed.decodePerMs / answers, 0) *
      (1 + this.spec.crowding * Math.max(0, answers - 1))
    return { prompts: prompts.length, tokenMs, turnMs: pieceMs + tokenMs }
  }

  /** One piece of one prompt and one token of each answer make a turn. */
  #perMs({ promptLeft }: Running, { prompts, turnMs }: Pace): number {
    return promptLeft > 0 ? pieceTokens / prompts / turnMs : 1 / turnMs
  }
}

type Pace = { readonly prompts: number; readonly tokenMs: number; readonly turnMs: number }

/** Tokens; less is none. */
const tiny = 1e-6

/** Tokens that two prompts have in common: their conversation as far as the first one goes, or their tenant's start. */
function common(kept: Request | null, request: Request): number {
  if (kept === null || kept.tenant !== request.tenant) return 0
  if (kept.conversation !== request.conversation) return request.systemTokens
  return Math.min(kept.promptTokens, request.promptTokens)
}
