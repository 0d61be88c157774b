import type { Failure } from '../protocol/errors.ts'
import type { InstanceCommand } from './instance-event.ts'
import { failJob } from './instance-words.ts'
import { engineOf, engineTaskOf, jobKey, type AnyAssign, type Instance } from './instance.ts'

type Commands = readonly InstanceCommand[]

export const isJob = (key: number) => (assign: AnyAssign) => jobKey(assign) === key

/** Gives waiting jobs to free slots. */
export function dispatchJobs(instance: Instance): Commands {
  const { phase, running, waiting } = instance
  if (phase.name !== 'ready') return []
  const commands: InstanceCommand[] = []
  while (running.size < phase.slots) {
    const next = waiting.shift()
    if (next === undefined) break
    const job = engineTaskOf(next)
    const { stream, attempt, jobId } = next
    running.set(jobKey(next), { stream, attempt, jobId })
    commands.push({ type: 'run_job', engine: phase.engine, job })
  }
  return commands
}

/** Ends all jobs of an instance with one error, those that wait included. */
export function failJobs(instance: Instance, error: Failure): Commands {
  const jobs = [...instance.running.values(), ...instance.waiting]
  instance.running.clear()
  instance.waiting.length = 0
  return jobs.map(job => failJob(job, error))
}

/** Forgets all jobs; nobody is told, because nobody listens. */
export function dropJobs(instance: Instance): Commands {
  const cancelled = cancelRunning(instance)
  instance.running.clear()
  instance.waiting.length = 0
  return cancelled
}

/** Tells the engine that none of its jobs is wanted. */
export function cancelRunning(instance: Instance): Commands {
  const engine = engineOf(instance)
  if (engine === undefined) return []
  return [...instance.running.values()].map(({ stream, attempt }) => ({
    type: 'cancel_job',
    engine,
    stream,
    attempt,
  }))
}
