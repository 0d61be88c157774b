import { honest } from './agent-plan.ts'
import type { AgentHost } from './agent-host.ts'
import type { Simulation } from './simulation.ts'

/** Everything works from now on: the disk, the network, the machines and the people; nobody lies any more. */
export function heal(simulation: Simulation): void {
  const { disk, hosts, records } = simulation
  disk.trouble = 'none'
  for (const record of records) disk.tables.addModel(record)
  simulation.startServer()
  for (const host of hosts) healHost(host)
  askOperator(simulation)
}

/** The operator lets every agent work, forgives what it has done, and sees that all models are in the catalogue. */
export function askOperator(simulation: Simulation): void {
  const { world, hosts } = simulation
  const poolAdmin = simulation.server?.pool?.poolAdmin
  if (poolAdmin === undefined) {
    world.after(serverLookMs, () => askOperator(simulation))
    return
  }
  for (const { plan } of hosts)
    void poolAdmin.setAdminState(plan.enrolment.identity.agentId, 'active')
  void poolAdmin.catalogueChanged()
  // One that was refused for good is started again by its owner.
  world.after(ownerLooksMs, () => hosts.forEach(host => host.boot()))
}

const serverLookMs = 1_000
const ownerLooksMs = 5_000

function healHost(host: AgentHost): void {
  const { plan } = host
  const wasLiar = Object.values(plan.lies).some(probability => probability > 0)
  Object.assign(plan.lies, honest())
  Object.assign(plan.manner, {
    slowness: 1,
    slotsClaimed: null,
    loadFails: 0,
    loadDies: 0,
    stepDies: 0,
    stepFails: 0,
    stepHangs: 0,
  })
  plan.fetchFails = 0
  host.setTemperature(60)
  plan.memoryMb = plan.inventory.memoryTotalMb
  // A file in quarantine is there until the owner deletes the list and starts the agent anew.
  const isRestarted = wasLiar || plan.quarantined.length > 0
  plan.quarantined.length = 0
  host.wake()
  host.reconnect()
  // What a liar has said ends with its process.
  if (isRestarted) host.kill(true)
  host.boot()
}
