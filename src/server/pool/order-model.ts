import type { SchedulerCommand } from '../../scheduler/command.ts'
import type { Catalogue } from './catalogue.ts'
import type { ConnectedAgents } from './connected-agents.ts'
import type { RegistryWriter } from './registry-writer.ts'

/** What the scheduler wants of the models in agents' memory. */
export type ModelCommand = Extract<
  SchedulerCommand,
  { readonly type: 'load' | 'remind' | 'unload' | 'order' }
>

export type OrderModelDeps = {
  readonly agents: Pick<ConnectedAgents, 'send'>
  readonly catalogue: Pick<Catalogue, 'loadMessage'>
  readonly registry: Pick<RegistryWriter, 'order'>
}

/** Sends it to the agent, or keeps it for the next server. @returns false when the model has left the catalogue meanwhile */
export function orderModel(deps: OrderModelDeps, command: ModelCommand): boolean {
  const { agents, catalogue, registry } = deps
  const { agentId } = command
  switch (command.type) {
    case 'load':
    case 'remind': {
      const { instanceId, model, withoutGpu } = command
      const load = catalogue.loadMessage(model, instanceId, withoutGpu)
      if (load !== undefined) agents.send(agentId, load)
      return load !== undefined
    }
    case 'unload':
      agents.send(agentId, { type: 'unload', instanceId: command.instanceId })
      return true
    case 'order':
      registry.order(command)
      return true
  }
}
