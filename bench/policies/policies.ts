import type { Job, Machine } from './machine.ts'

/** Who decides. `start` is what it calls for a job that it has placed; jobs that it cannot place wait with it. */
export type Policy = {
  arrive(job: Job, nowMs: number): void
  /** An attempt is over; one that failed is to be placed again, not there. */
  ended(job: Job, machine: Machine, failed: boolean, nowMs: number): void
  /** Half a minute has passed. */
  tick(nowMs: number): void
}
export type Start = (job: Job, machine: Machine, nowMs: number) => void

/** Chooses one of those that hold the model and have a free slot; there is at least one. */
export type Choose = (free: readonly Machine[], job: Job, nowMs: number) => Machine

/**
 * The usual balancers, with all that can be given to them: they know who holds the model and who has a free slot, what finds
 * none waits in one line for each model, and what failed goes first and to another machine.
 */
export class Balancer implements Policy {
  readonly #machines: readonly Machine[]
  readonly #choose: Choose
  readonly #start: Start
  readonly #lines = { small: new Array<Job>(), large: new Array<Job>() }
  readonly #failedOn = new Map<Job, Set<Machine>>()

  constructor(machines: readonly Machine[], choose: Choose, start: Start) {
    this.#machines = machines
    this.#choose = choose
    this.#start = start
  }

  arrive(job: Job, nowMs: number): void {
    this.#lines[job.request.model].push(job)
    this.#pump(nowMs)
  }

  ended(job: Job, machine: Machine, failed: boolean, nowMs: number): void {
    if (failed) {
      this.#failedOn.set(job, new Set([...(this.#failedOn.get(job) ?? []), machine]))
      this.#lines[job.request.model].unshift(job)
    } else this.#failedOn.delete(job)
    this.#pump(nowMs)
  }

  tick(): void {}

  #pump(nowMs: number): void {
    for (const line of Object.values(this.#lines))
      for (let job = line[0]; job !== undefined; job = line[0]) {
        const { model } = job.request
        const failedOn = this.#failedOn.get(job)
        const free = this.#machines.filter(
          machine => machine.hasRoom(model) && failedOn?.has(machine) !== true,
        )
        if (free.length === 0) break
        line.shift()
        this.#start(job, this.#choose(free, job, nowMs), nowMs)
      }
  }
}

export function roundRobin(): Choose {
  let last = -1
  return free => {
    const next = free.find(machine => machine.spec.id > last) ?? first(free)
    last = next.spec.id
    return next
  }
}

export const randomly =
  (random: () => number): Choose =>
  free =>
    free[Math.floor(random() * free.length)] ?? first(free)

export const leastConnections = (): Choose => free =>
  free.reduce((least, machine) => (machine.load < least.load ? machine : least))

export function powerOfTwo(random: () => number): Choose {
  const draw = randomly(random)
  return (free, job, nowMs) => {
    const [one, other] = [draw(free, job, nowMs), draw(free, job, nowMs)]
    return one.load <= other.load ? one : other
  }
}

/**
 * Knows what nobody can: how long prompts and answers are, how fast machines really are, what their slots hold and who is
 * going to fail. Takes the machine where this job, and what it does to the others there, costs least. Greedy, so not the optimum.
 */
export const clairvoyant = (): Choose => (free, job) => {
  const { request } = job
  const cost = (machine: Machine): number => {
    const speed = machine.spec.speeds[request.model]
    if (speed === undefined) return Infinity
    const promptTokens = request.promptTokens + job.tokensDone
    const first_ = machine.msToFirstToken(request, promptTokens)
    const own = (promptTokens - machine.keptOf(request)) / speed.prefillPerMs
    const answer =
      (request.answerTokens / speed.decodePerMs) * (1 + machine.spec.crowding * machine.load)
    return first_ * 3 + answer + own * machine.load + (machine.fails(request) ? 1e9 : 0)
  }
  return free.reduce((best, machine) => (cost(machine) < cost(best) ? machine : best))
}

function first(free: readonly Machine[]): Machine {
  const [machine] = free
  if (machine === undefined) throw new Error('there is a free machine')
  return machine
}
