import type { PoolFault } from './faults.ts'

/** What goes wrong with the server and its store, and what its operator does. */
export const poolFaults: Readonly<Record<string, PoolFault>> = {
  serverKills: simulation => {
    const { world, story } = simulation
    if (!simulation.killServer()) return
    story.tell('server', () => 'is killed')
    world.after(world.random.skewed(200, 60_000), () => simulation.startServer())
  },
  serverRestarts: simulation => {
    const { world, story } = simulation
    if (!simulation.stopServer()) return
    story.tell('server', () => 'is restarted')
    world.after(world.random.skewed(6_000, 60_000), () => simulation.startServer())
  },
  slowDisk: ({ world, disk, story }) => {
    disk.trouble = 'slow'
    story.tell('disk', () => 'is slow')
    world.after(world.random.skewed(1_000, 120_000), () => {
      disk.trouble = 'none'
    })
  },
  lostDisk: ({ world, disk, story }) => {
    disk.trouble = 'gone'
    story.tell('disk', () => 'does not answer')
    world.after(world.random.skewed(100, 60_000), () => {
      disk.trouble = 'none'
      story.tell('disk', () => 'answers again')
    })
  },
  lostAcknowledgements: ({ world, disk, story }) => {
    disk.trouble = 'unacknowledged'
    story.tell('disk', () => 'commits, and its answers are lost')
    world.after(world.random.skewed(100, 20_000), () => {
      disk.trouble = 'none'
    })
  },
  revocations: simulation => {
    const { world, hosts, story } = simulation
    const host = hosts[world.random.whole(0, hosts.length - 1)]
    if (host === undefined) return
    const { identity } = host.plan.enrolment
    const set = (state: 'active' | 'draining' | 'revoked') => {
      story.tell('operator', () => `makes ${host.plan.name} ${state}`)
      void simulation.server?.pool?.poolAdmin
        .setAdminState(identity.agentId, state)
        .catch((error: unknown) => story.tell('operator', () => `cannot: ${String(error)}`))
    }
    set(world.random.pick(['draining', 'revoked']))
    world.after(world.random.skewed(1_000, 300_000), () => {
      set('active')
      world.after(world.random.skewed(100, 30_000), () => host.boot())
    })
  },
  unloads: ({ world, models, server, story }) => {
    const model = models[world.random.whole(0, models.length - 1)]
    if (model === undefined) return
    story.tell('operator', () => `unloads ${model}`)
    void server?.pool?.poolAdmin
      .unloadModel(model)
      .catch((error: unknown) => story.tell('operator', () => `cannot: ${String(error)}`))
  },
  loads: ({ world, models, server, story }) => {
    const model = models[world.random.whole(0, models.length - 1)]
    if (model === undefined) return
    story.tell('operator', () => `wants ${model} loaded everywhere`)
    void server?.pool?.poolAdmin
      .loadModel(model, null)
      .catch((error: unknown) => story.tell('operator', () => `cannot: ${String(error)}`))
  },
  removals: simulation => {
    const { world, disk, models, story } = simulation
    const record = disk.tables.getModel(models[world.random.whole(0, models.length - 1)] ?? '')
    if (record === undefined) return
    const { name } = record.manifest
    const changed = () =>
      void simulation.server?.pool?.poolAdmin
        .catalogueChanged()
        .catch((error: unknown) => story.tell('operator', () => `cannot: ${String(error)}`))
    story.tell('operator', () => `takes ${name} out of the catalogue`)
    disk.tables.removeModel(name)
    changed()
    world.after(world.random.skewed(1_000, 60_000), () => {
      disk.tables.addModel(record)
      changed()
    })
  },
}
