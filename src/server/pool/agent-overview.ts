import { modelMemoryMb } from '../../capability/eligibility.ts'
import type { Instant } from '../../clock.ts'
import { offerOf, type ExternalModel, type ExternalSource } from '../../models/external-model.ts'
import type { GpuInventory, Inventory } from '../../protocol/gpu.ts'
import { Capacity } from '../../scheduler/capacity.ts'
import type { ModelFacts } from '../../scheduler/event.ts'
import type { AgentLive, AgentOverview, DeviceOverview, ExternalFit } from '../pool-admin.ts'
import type { AgentRecord } from '../store/store.ts'
import type { MachineHealth } from './machine-health.ts'

export type OverviewFacts = {
  readonly record: AgentRecord
  readonly live: AgentLive
  /** The machine as it is now; the record's may be a moment older. */
  readonly inventory: Inventory
  readonly health: MachineHealth
  readonly reliability: AgentOverview['reliability']
  readonly models: Iterable<ModelFacts>
  readonly now: Instant
}

/** Everything an operator can be told of one machine, judged by the same code as placement. */
export function agentOverview(facts: OverviewFacts): AgentOverview {
  const { record, live, inventory, health, reliability, models, now } = facts
  const { stopped, slowed, unfitGpus } = health.standing(now)
  return {
    record,
    live,
    inventory,
    reliability,
    devices: inventory.gpus.map(gpu => deviceOverview(gpu, facts)),
    health: { stopped: stopped?.reason ?? null, slowed, errors: health.errors(now) },
    modelFits: () => {
      const capacity = new Capacity(inventory, unfitGpus)
      return [...models].map(model => ({
        model: model.name,
        ...(model.external === undefined
          ? capacity.fit(model)
          : externalFit(model.external, live.externalModels ?? [])),
      }))
    },
  }
}

/** Where an owner's engine has a model is not known; whether it has it is. */
function externalFit(wanted: ExternalSource, offers: readonly ExternalModel[]): ExternalFit {
  const offer = offerOf(wanted, offers)
  return offer === undefined
    ? { kind: 'none', device: null, reason: 'no engine of its owner serves it now' }
    : { kind: 'external', device: null, reason: `served by its owner's engine: ${offer.engine}` }
}

function deviceOverview(
  gpu: GpuInventory,
  { health, live, now }: Pick<OverviewFacts, 'health' | 'live' | 'now'>,
): DeviceOverview {
  return {
    gpu,
    memoryMb: modelMemoryMb(gpu),
    judgement: health.judge(gpu, now),
    thermalEvents: health.thermalEvents(gpu.id, now),
    reading: live.lastHeartbeat?.gpus.find(({ id }) => id === gpu.id) ?? null,
  }
}
