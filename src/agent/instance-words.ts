import type { Failure } from '../protocol/errors.ts'
import { limits } from '../protocol/limits.ts'
import type { Load } from '../protocol/server-message.ts'
import { agentLimits } from './agent-limits.ts'
import type { InstanceCommand } from './instance-event.ts'
import { instanceStatus, type Instance, type Phase } from './instance.ts'

/** A worker's last words can be long, and the server ends a connection over a text beyond the limit. */
const clipped = ({ code, message }: Failure): Failure => ({
  code,
  message: message.slice(0, limits.errorTextBytesMax),
})

/** Tells the server that an attempt failed here. */
export const failJob = (
  { stream, attempt }: { readonly stream: number; readonly attempt: number },
  error: Failure,
): InstanceCommand => ({
  type: 'say',
  message: { type: 'failed', stream, attempt, error: clipped(error) },
})

/** Tells the server where an instance stands. */
export const report = (instance: Instance): InstanceCommand => ({
  type: 'say',
  message: {
    type: 'instance',
    instanceId: instance.load.instanceId,
    modelSha256: instance.load.manifest.sha256,
    status: instanceStatus(instance),
  },
})

/** Tells the server that an instance is gone, its memory included. */
export const unloaded = ({ instanceId, manifest }: Load): InstanceCommand => ({
  type: 'say',
  message: {
    type: 'instance',
    instanceId,
    modelSha256: manifest.sha256,
    status: { state: 'unloaded' },
  },
})

export const log = (level: 'info' | 'warn' | 'error', text: string): InstanceCommand => ({
  type: 'log',
  level,
  text,
})

/** Notes the progress of a load, and tells the server when it is a step further. */
export function reportProgress(
  instance: Instance | undefined,
  during: 'fetching' | 'starting',
  progress: number | null,
): readonly InstanceCommand[] {
  const phase = instance?.phase
  if (instance === undefined || phase?.name !== during || progress === null) return []
  const step = progress - (phase.progress ?? 0)
  if (step < agentLimits.progressStepRatio) return []
  instance.phase = { ...phase, progress: Math.min(1, progress) }
  return [report(instance)]
}

/** Where an instance is that could not be loaded. */
export const failed = (error: Failure): Phase => ({ name: 'failed', error: clipped(error) })

export function tooManyDeaths(deaths: number, last: Failure): string {
  const seconds = agentLimits.workerDeathWindowMs / 1_000
  return `the worker died ${deaths} times within ${seconds} s, last: ${last.message}`
}
