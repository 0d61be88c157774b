import { instanceStatus, type Instance } from './instance.ts'
import type { AgentStatus } from './local-control.ts'

/** An instance as the owner of the machine is shown it. */
export function instanceOverview(instance: Instance): AgentStatus['instances'][number] {
  const status = instanceStatus(instance)
  return {
    instanceId: instance.load.instanceId,
    model: instance.load.manifest.name,
    state: status.state,
    detail: status.state === 'failed' ? status.error.message : null,
    jobsRunning: instance.running.size,
    jobsWaiting: instance.waiting.length,
  }
}
