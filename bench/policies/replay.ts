import { quantile } from '../harness/statistics.ts'
import { Machine, type Ending, type Job, type MachineSpec } from './machine.ts'
import type { Policy, Start } from './policies.ts'
import { heavyTenants, type Request } from './trace.ts'

/** Who waits longer for the first token, or gets fewer tokens after it, was not served well. */
export const served = { firstTokenMsMax: 5_000, msPerTokenMax: 150 }
/** The first requests find an empty pool, and are not counted. */
const warmUpMs = 120_000
const tickMs = 30_000

export type Outcome = {
  /** Answers a second that were served well, of those that arrived after the warm-up. */
  readonly goodput: number
  readonly p90FirstTokenMs: number
  readonly p50FirstTokenMs: number
  /** Of the tenants that ask less than others. */
  readonly p90LightTenantsMs: number
  readonly attempts: number
}

/** Runs a trace against a policy; simulated time, so the same seed gives the same figures everywhere. */
export function replay(
  trace: readonly Request[],
  specs: readonly MachineSpec[],
  makePolicy: (machines: readonly Machine[], start: Start) => Policy,
): Outcome {
  const machines = specs.map(spec => new Machine(spec))
  const next = new Map<Machine, number>(machines.map(machine => [machine, Infinity]))
  const endings: { machine: Machine; ending: Ending; nowMs: number }[] = []
  const advance = (machine: Machine, nowMs: number) => {
    for (const ending of machine.advance(nowMs)) endings.push({ machine, ending, nowMs })
  }
  const policy = makePolicy(machines, (job, machine, nowMs) => {
    advance(machine, nowMs)
    machine.start(job, nowMs)
    next.set(machine, machine.nextMs())
  })
  const jobs = trace.map(request => newJob(request))
  let arrived = 0
  let tickAtMs = tickMs
  for (;;) {
    const arrivesMs = jobs[arrived]?.request.arrivesMs ?? Infinity
    let [soonest, endsMs] = [machines[0], Infinity]
    for (const [machine, atMs] of next) if (atMs < endsMs) [soonest, endsMs] = [machine, atMs]
    const nowMs = Math.min(arrivesMs, endsMs, tickAtMs)
    if (arrivesMs === Infinity && endsMs === Infinity) break
    if (nowMs === tickAtMs) {
      tickAtMs += tickMs
      policy.tick(nowMs)
    } else if (nowMs === endsMs && soonest !== undefined) {
      advance(soonest, nowMs)
      next.set(soonest, soonest.nextMs())
    } else {
      const job = jobs[arrived++]
      if (job !== undefined) policy.arrive(job, nowMs)
    }
    for (let each = endings.shift(); each !== undefined; each = endings.shift()) {
      policy.ended(each.ending.job, each.machine, each.ending.failed, each.nowMs)
      next.set(each.machine, each.machine.nextMs())
    }
  }
  return outcomeOf(jobs)
}

const newJob = (request: Request): Job => ({
  request,
  tokensDone: 0,
  firstTokenMs: null,
  endedMs: null,
  attempts: 0,
})

function outcomeOf(jobs: readonly Job[]): Outcome {
  const counted = jobs.filter(({ request }) => request.arrivesMs >= warmUpMs)
  const first = counted.map(firstTokenAfterMs)
  const lastMs = counted.at(-1)?.request.arrivesMs ?? warmUpMs
  return {
    goodput: (1_000 * counted.filter(isServedWell).length) / (lastMs - warmUpMs),
    p50FirstTokenMs: quantile(first, 0.5),
    p90FirstTokenMs: quantile(first, 0.9),
    p90LightTenantsMs: quantile(counted.filter(isOfLightTenant).map(firstTokenAfterMs), 0.9),
    attempts: counted.reduce((sum, { attempts }) => sum + attempts, 0) / counted.length,
  }
}

function firstTokenAfterMs({ request, firstTokenMs }: Job): number {
  if (firstTokenMs === null) throw new Error('every job gets its first token')
  return firstTokenMs - request.arrivesMs
}

const isOfLightTenant = ({ request }: Job): boolean => request.tenant >= heavyTenants

function isServedWell(job: Job): boolean {
  const { request, firstTokenMs, endedMs } = job
  const msPerToken = ((endedMs ?? Infinity) - (firstTokenMs ?? 0)) / request.answerTokens
  return firstTokenAfterMs(job) <= served.firstTokenMsMax && msPerToken <= served.msPerTokenMax
}

/**
 * What no policy can better: each request alone on the machine that is fastest for it, with all in its cache that could be
 * there.
 */
export function bound(trace: readonly Request[], specs: readonly MachineSpec[]): Outcome {
  const longest = new Map<number, number>()
  const jobs = trace.map((request): Job => {
    const { conversation, promptTokens, systemTokens, model, answerTokens, arrivesMs } = request
    const kept = longest.get(conversation) ?? systemTokens
    longest.set(conversation, promptTokens)
    const speeds = specs.flatMap(({ speeds: { [model]: speed } }) => speed ?? [])
    const prefill = Math.max(...speeds.map(speed => speed.prefillPerMs))
    const decode = Math.max(...speeds.map(speed => speed.decodePerMs))
    const firstTokenMs = arrivesMs + (promptTokens - kept) / prefill
    const endedMs = firstTokenMs + answerTokens / decode
    return { request, tokensDone: answerTokens, firstTokenMs, endedMs, attempts: 1 }
  })
  return outcomeOf(jobs)
}
