import type { AgentDetails } from '../server/admin/agent-view.ts'
import { formatModelMetrics } from '../protocol/model-metrics-text.ts'
import { withoutControls } from './table.ts'

type Device = AgentDetails['devices'][number]

/** Everything about a machine, for people. */
export function formatAgent(agent: AgentDetails): string {
  const { capabilities: machine, errors } = agent
  const { cpu } = machine
  const lines: readonly Line[] = [
    ['state', `${agent.adminState}, ${agent.connected ? agent.status : 'offline'}`],
    ['health', healthText(agent)],
    ['reliable', agent.reliabilityReason],
    ['failures', failuresText(errors)],
    ['machine', `${machine.hostname}, ${machine.os}, ${machine.arch}`],
    ['processor', `${cpu.name}, ${cpu.physicalCores} cores, ${cpu.logicalCores} threads`],
    ['memory', `${machine.memoryTotalMb} MB`],
    ['region', agent.region ?? '-'],
    ['version', agent.softwareVersion ?? 'not connected'],
    ['enrolled', agent.enrolledAt],
    ['heartbeat', heartbeatText(agent)],
    ...(agent.devices.length === 0
      ? [['device', 'no GPU; models run on the processor'] as const]
      : agent.devices.flatMap(deviceLines)),
    ...(agent.externalModels === null
      ? []
      : [
          ['engines', 'its owner’s own, unsandboxed; their models are not checked'] as const,
          ...agent.externalModels.map(
            ({ modelId, engine, fingerprint }) =>
              ['  offers', `external:${modelId} (${engine}, fingerprint ${fingerprint})`] as const,
          ),
        ]),
    ...agent.models.map(
      ({ model, fit, reason }) => ['model', fitText(model, fit, reason)] as const,
    ),
    ...agent.instances.map(
      ({ model, status }) => ['loaded', `${model}: ${stateText(status)}`] as const,
    ),
    ...metricsLines(agent),
    ...agent.history.slice(0, historyShown).map(event => ['history', historyText(event)] as const),
  ]
  return [
    `${agent.name} ${agent.id}`,
    ...lines.map(([what, text]) => `  ${what.padEnd(11)} ${text}`),
  ]
    .map(line => `${withoutControls(line)}\n`)
    .join('')
}

type Line = readonly [what: string, text: string]

const historyShown = 10

function deviceLines(device: Device): readonly Line[] {
  const { name, id, eligible, answers, scoreExplanation, driverNotes } = device
  const against = answers.filter(answer => !answer.passes).map(answer => answer.reason)
  const driver = device.inventory.driverVersion
  return [
    ['device', `${name} (${id})${driver === null ? '' : `, driver ${driver}`}`],
    ['  memory', memoryText(device)],
    ['  now', readingText(device)],
    ['  may serve', eligible ? 'yes' : `no: ${against.join('; ')}`],
    ...answers
      .filter(({ predicate, passes }) => passes && predicate !== 'memory')
      .map(({ reason }) => ['', reason] as const),
    ['  score', scoreExplanation],
    ...driverNotes.map(note => ['  driver', note] as const),
  ]
}

function memoryText({ memoryMb, inventory }: Device): string {
  if (memoryMb !== null) return `${memoryMb} MB for models`
  return inventory.kind === 'integrated' ? 'the machine’s own' : 'not known'
}

function readingText({ reading }: Device): string {
  if (reading === null) return 'no reading'
  const { temperature_c, vram_used_mb, utilization_pct, power_w, throttle_reasons } = reading
  const facts = [
    temperature_c === null ? null : `${temperature_c} °C`,
    vram_used_mb === null ? null : `${vram_used_mb} MB used`,
    utilization_pct === null ? null : `${utilization_pct} % busy`,
    power_w === null ? null : `${power_w} W`,
    throttle_reasons?.length ? `clocks held back: ${throttle_reasons.join(', ')}` : null,
  ].filter(fact => fact !== null)
  return facts.length === 0 ? 'its driver says nothing' : facts.join(', ')
}

function healthText({ health: { stopped, slowed } }: AgentDetails): string {
  if (stopped !== null) return `no new work: ${stopped}`
  return slowed ? 'slowed down by heat' : 'good'
}

const failuresText = ({ failed, outcomes }: AgentDetails['errors']): string =>
  `${failed} of ${outcomes} inferences failed in 24 h`

function heartbeatText({ lastHeartbeatAt, lastHeartbeat }: AgentDetails): string {
  if (lastHeartbeatAt === null) return 'none yet'
  const latency = lastHeartbeat?.network_latency_ms ?? null
  return `${lastHeartbeatAt}${latency === null ? '' : `, ${Math.round(latency)} ms away`}`
}

function metricsLines({ lastHeartbeat }: AgentDetails): readonly Line[] {
  const metrics = lastHeartbeat?.metrics
  if (metrics === undefined) return []
  const { slots_busy, slots_total, queue_depth, models_waiting, memory_available_mb } = metrics
  const room = models_waiting === 0 ? '' : `, ${models_waiting} models wait for room`
  const work = `${slots_busy} of ${slots_total} slots busy, ${queue_depth} jobs wait${room}`
  return [
    ['work', `${work}; ${memory_available_mb} MB available`],
    ...metrics.models.map(each => ['', `${each.model}: ${formatModelMetrics(each)}`] as const),
  ]
}

const fitWords = {
  gpu: 'fits',
  partial: 'fits in part',
  cpu: 'processor',
  external: 'own engine',
  none: 'no',
} as const

const fitText = (model: string, fit: keyof typeof fitWords, reason: string): string =>
  `${model}: ${fitWords[fit]} (${reason})`

function stateText(status: AgentDetails['instances'][number]['status']): string {
  switch (status.state) {
    case 'loading':
      return status.progress === null ? 'loading' : `loading, ${percent(status.progress)}`
    case 'ready':
      return `ready, ${status.slots} slots of ${status.contextTokens} tokens`
    case 'failed':
      return `failed: ${status.error.message}`
    case 'unloaded':
      return 'unloaded'
  }
}

function historyText({ type, at, metadata }: AgentDetails['history'][number]): string {
  const text = metadata['text'] ?? metadata['code'] ?? metadata['state']
  const { cause, before, after } = metadata
  const parts = [
    typeof text === 'string' ? `: ${text}` : '',
    typeof cause === 'string' ? ` (${cause})` : '',
    typeof before === 'number' && typeof after === 'number'
      ? `, reliability ${before.toFixed(2)} → ${after.toFixed(2)}`
      : '',
  ]
  return `${at} ${type.replaceAll('_', ' ')}${parts.join('')}`
}

const percent = (share: number): string => `${Math.round(share * 100)} %`
