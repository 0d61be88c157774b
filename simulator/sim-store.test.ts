import { describe, expect, test } from 'bun:test'
import { storeConformance } from '../test/support/store-conformance.ts'
import { request } from '../test/support/store-fixtures.ts'
import { Disk } from './disk.ts'
import { createSimStore, type Medium } from './sim-store.ts'
import { Tables } from './tables.ts'
import { World } from './world.ts'

/** Commits at once. */
const prompt: Medium = async commit => commit()

describe('the simulated store keeps the promises of the real ones', () =>
  storeConformance(async () => {
    let tables = new Tables()
    const store = createSimStore(() => tables, prompt)
    return {
      store,
      rows: {
        empty: async () => {
          tables = new Tables()
        },
        removeAgent: async id => {
          tables.agents.delete(id)
          tables.events = tables.events.map(event =>
            event.agentId === id ? { ...event, agentId: null } : event,
          )
        },
        setPromptTokens: async tokens => {
          for (const [key, row] of tables.usageRows)
            tables.usageRows.set(key, { ...row, promptTokens: Number(tokens) })
        },
        jobIds: async () => [...tables.requests.keys()],
        joinTokenIds: async () => [...tables.joinTokens.keys()],
      },
    }
  }))

describe('when a server dies', () => {
  const settled = request()

  test('what was committed is there, also where the acknowledgement was lost', () => {
    const world = new World(1)
    const disk = new Disk(world)
    let isAlive = true
    const acknowledged: string[] = []
    const store = disk.open(() => isAlive)
    void store.settleRequest(settled).then(() => acknowledged.push(settled.jobId))
    world.run(world.now() + 1_000, () => disk.tables.requests.size === 1)
    isAlive = false
    world.run(world.now() + 10_000)
    expect(acknowledged).toEqual([])
    expect([...disk.tables.requests.keys()]).toEqual([settled.jobId])
  })

  test('what was not committed never was', () => {
    const world = new World(2)
    const disk = new Disk(world)
    let isAlive = true
    void disk.open(() => isAlive).settleRequest(settled)
    isAlive = false
    world.run(world.now() + 10_000)
    expect(disk.tables.requests.size).toBe(0)
  })
})
