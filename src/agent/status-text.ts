import { formatModelMetrics } from '../protocol/model-metrics-text.ts'
import type { AgentStatus } from './local-control.ts'
import type { Identity } from './state-dir.ts'

/** The answer of `status` for people. */
export function formatStatus(status: AgentStatus): string {
  const connection = status.detail === null ? '' : ` (${status.detail})`
  const lines = [
    `${status.name} ${status.agentId}`,
    `  server      ${status.server}`,
    `  connection  ${status.connection.replace('_', ' ')}${connection}`,
    `  process     pid ${status.pid}, version ${status.version}, up ${formatDuration(status.uptimeSeconds)}`,
    `  work        ${status.busySlots} of ${status.slots} slots busy${status.draining ? ', draining' : ''}`,
    `  devices     ${status.gpus.length === 0 ? 'CPU only' : status.gpus.join(', ')}`,
    ...(status.engines ?? []).map(({ url, models, problem }) => {
      const what =
        problem === null ? `serves ${modelsOf(models.length)}` : `serves nothing: ${problem}`
      return `  engine      ${url} ${what}; your own, not sandboxed by the agent`
    }),
    ...status.instances.flatMap(({ model, state, detail, jobsRunning, jobsWaiting }) => {
      const why = detail === null ? '' : `: ${detail}`
      const figures = status.metrics?.models.find(each => each.model === model)
      return [
        `  model       ${model} ${state}${why}, ${jobsRunning} running, ${jobsWaiting} waiting`,
        ...(figures === undefined ? [] : [`              ${formatModelMetrics(figures)}`]),
      ]
    }),
    ...(status.quarantined ?? []).map(
      ({ model, sha256, reason }) =>
        `  quarantine  ${model} (${sha256.slice(0, 12)}) is not loaded: ${reason}`,
    ),
  ]
  return `${lines.join('\n')}\n`
}

/** What is known of the machine's place in a pool while no agent runs. */
export function formatIdentity(identity: Identity | undefined): string {
  if (identity === undefined) return 'This machine has not joined a pool.\n'
  return `${identity.name} ${identity.agentId}\n  pool        ${identity.origin}\n`
}

const modelsOf = (count: number): string => `${count} ${count === 1 ? 'model' : 'models'}`

function formatDuration(seconds: number): string {
  const days = Math.floor(seconds / 86_400)
  const hours = Math.floor((seconds % 86_400) / 3_600)
  const minutes = Math.floor((seconds % 3_600) / 60)
  if (days > 0) return `${days} d ${hours} h`
  if (hours > 0) return `${hours} h ${minutes} min`
  return minutes > 0 ? `${minutes} min ${seconds % 60} s` : `${seconds} s`
}
