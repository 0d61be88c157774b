import type { Logger } from 'pino'
import {
  driverFactsOf,
  judgeDriver,
  type Backend,
  type DriverJudgement,
} from '../../capability/driver-blacklist.ts'
import type { Inventory } from '../../protocol/gpu.ts'
import { avoidBackendsVariable } from '../worker/gpu-choice.ts'
import type { WorkerProgram } from './worker-program.ts'

/** What every worker of this machine is started with, because of its drivers. */
export type DriverWorkarounds = {
  /** For llama.cpp. */
  readonly environment: Readonly<Record<string, string>>
  /** Builds of llama.cpp that must not be used. */
  readonly avoidBackends: readonly Backend[]
  /** For the owner: device, trouble and what is done about it. */
  readonly told: readonly string[]
}

/**
 * What is known to help against the drivers of this machine (specification 5.4; the list and its sources are
 * capability/data/drivers.json). All devices share a worker, so it gets what any of them needs. A device whose driver nothing
 * helps is not asked to serve and counts for nothing here.
 */
export function driverWorkarounds(inventory: Pick<Inventory, 'os' | 'gpus'>): DriverWorkarounds {
  const helped = inventory.gpus
    .map(gpu => ({ gpu, judgement: judgeDriver(driverFactsOf(inventory, gpu)) }))
    .filter(({ judgement }) => judgement.verdict === 'helped')
  return {
    environment: Object.assign({}, ...helped.map(({ judgement }) => judgement.env)),
    avoidBackends: [...new Set(helped.flatMap(({ judgement }) => judgement.avoidBackends))],
    told: helped.map(({ gpu, judgement }) => `${gpu.name}: ${toldOf(judgement)}`),
  }
}

/** @returns the trouble and what is done about it */
export function toldOf({ matches, env, avoidBackends }: DriverJudgement): string {
  const reasons = matches.map(({ reason }) => reason).join('; ')
  const done = [
    ...Object.entries(env).map(([name, value]) => `${name}=${value}`),
    ...avoidBackends.map(backend => `no ${backend}`),
  ]
  return `${reasons}; workers run with ${done.join(', ')}`
}

/** The same worker with what the machine's drivers need. */
export function withWorkarounds<Program extends WorkerProgram>(
  program: Program,
  { environment, avoidBackends }: DriverWorkarounds,
): Program {
  const avoided =
    avoidBackends.length === 0 ? {} : { [avoidBackendsVariable]: avoidBackends.join(',') }
  return { ...program, environment: { ...program.environment, ...environment, ...avoided } }
}

/** Says once, when the agent starts, what is done. */
export function logWorkarounds({ told }: DriverWorkarounds, log: Logger): void {
  for (const each of told) log.warn(`driver workaround: ${each}`)
}
