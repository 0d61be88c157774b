import type { AgentFault } from './faults.ts'

/** What goes wrong with one agent, its machine or its network. */
export const agentFaults: Readonly<Record<string, AgentFault>> = {
  kills: (host, { world }) => {
    host.kill(true)
    world.after(world.random.skewed(500, 120_000), () => host.boot())
  },
  powerLosses: (host, { world }) => {
    host.kill(false)
    world.after(world.random.skewed(5_000, 300_000), () => host.boot())
  },
  ownerStops: (host, { world }) => {
    host.stop()
    world.after(world.random.skewed(1_000, 300_000), () => host.boot())
  },
  sleeps: (host, { world }) => {
    host.machine.sleep()
    host.tell(() => 'sleeps')
    world.after(world.random.skewed(1_000, 900_000), () => {
      host.wake()
      host.tell(() => 'wakes')
    })
  },
  freezes: (host, { world }) => {
    host.machine.freeze()
    host.tell(() => 'is frozen')
    world.after(world.random.skewed(50, 120_000), () => {
      host.wake()
      host.tell(() => 'goes on')
    })
  },
  cutOffs: (host, { world }) => {
    host.cutOff()
    host.tell(() => 'is cut off')
    world.after(world.random.skewed(200, 200_000), () => {
      if (world.random.chance(0.5)) host.resetWires()
      host.reconnect()
      host.tell(() => 'can be reached again')
    })
  },
  resets: host => {
    host.resetWires()
    host.tell(() => 'loses its connection')
  },
  throttling: (host, { world }) => {
    const { manner } = host.plan
    manner.slowness = world.random.skewed(2, 100)
    host.tell(() => 'is slow')
    world.after(world.random.skewed(5_000, 300_000), () => {
      manner.slowness = 1
    })
  },
  heat: (host, { world }) => {
    host.setTemperature(97)
    host.tell(() => 'is hot')
    world.after(world.random.skewed(5_000, 300_000), () => {
      host.setTemperature(60)
    })
  },
  clockJumps: (host, { world }) => {
    host.setWallClock(world.random.between(-3_600_000, 3_600_000))
    host.tell(() => 'has its clock set')
  },
  brokenEngines: (host, { world }) => {
    const { random } = world
    const often = () => (random.chance(0.5) ? random.spread(0.004, 0.5) : 0)
    const { manner } = host.plan
    manner.loadFails = often()
    manner.loadDies = often()
    manner.stepDies = often() / 4
    manner.stepFails = often() / 4
    manner.stepHangs = often() / 4
    host.plan.fetchFails = often()
    host.tell(() => 'has broken engines')
    world.after(random.skewed(10_000, 600_000), () => {
      Object.assign(manner, { loadFails: 0, loadDies: 0, stepDies: 0, stepFails: 0, stepHangs: 0 })
      host.plan.fetchFails = 0
    })
  },
  littleMemory: (host, { world }) => {
    const { plan } = host
    plan.memoryMb = plan.inventory.memoryTotalMb * world.random.next()
    host.tell(() => `has ${Math.round(plan.memoryMb)} MB left`)
    world.after(world.random.skewed(10_000, 600_000), () => {
      plan.memoryMb = plan.inventory.memoryTotalMb
    })
  },
}
