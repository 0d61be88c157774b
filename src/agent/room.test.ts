import { describe, expect, test } from 'bun:test'
import type { InstanceId } from '../protocol/ids.ts'
import { limits } from '../protocol/limits.ts'
import { askForRoom, type Resident, type Room } from './room.ts'

const mib = 1024 ** 2
const headroom = limits.memoryHeadroomMb

const room = (
  needMb: number,
  availableMb: number,
  gpu: { needMb?: number; freeMb?: number; needNowMb?: number } = {},
): Room => ({
  need: { mainBytes: needMb * mib, gpuBytes: (gpu.needMb ?? 0) * mib },
  needNow: { mainBytes: (gpu.needNowMb ?? needMb) * mib, gpuBytes: 0 },
  availableBytes: (availableMb + headroom) * mib,
  gpuFreeBytes: gpu.freeMb === undefined ? null : (gpu.freeMb + headroom) * mib,
})

const resident = (
  id: string,
  state: Resident['state'],
  mainMb: number,
  { hiddenMb = 0, gpuMb = 0, lastUsedAt = 0, sha256 = id } = {},
): Resident => ({
  instanceId: id as InstanceId,
  sha256,
  state,
  lastUsedAt,
  hiddenBytes: hiddenMb * mib,
  frees: { mainBytes: mainMb * mib, gpuBytes: gpuMb * mib },
})

describe('a model that wants in', () => {
  test('fits where its memory and the headroom are free', () => {
    expect(askForRoom(room(100, 100), [])).toEqual({ type: 'fits' })
    expect(askForRoom(room(100, 99), []).type).toBe('refuse')
  })

  test('counts the weights of others as taken, those of one file once', () => {
    const one = resident('a', 'later', 0, { hiddenMb: 50, sha256: 'x' })
    const two = resident('b', 'later', 0, { hiddenMb: 50, sha256: 'x' })
    expect(askForRoom(room(100, 150), [one, two]).type).toBe('fits')
    expect(askForRoom(room(100, 149), [one, two]).type).toBe('refuse')
  })

  test('pushes out idle ones, waits for those in use, and is refused with figures beyond both', () => {
    const used = resident('used', 'later', 100)
    const idle = resident('idle', 'idle', 100)
    expect(askForRoom(room(100, 0), [used, idle])).toEqual({
      type: 'evict',
      instanceIds: ['idle'] as InstanceId[],
    })
    expect(askForRoom(room(200, 0), [used, idle]).type).toBe('wait')
    expect(askForRoom(room(300, 0), [used, idle])).toEqual({
      type: 'refuse',
      error: {
        code: 'out_of_memory',
        message: `the model needs ${300 + headroom} MB of memory and ${headroom} MB are free; other models hold 200 MB`,
      },
    })
  })

  test('takes the place on the GPU that idle ones leave, and goes to main memory where those in use stay', () => {
    const gpu = { needMb: 100, freeMb: 0, needNowMb: 110 }
    const idle = resident('idle', 'idle', 10, { gpuMb: 100 })
    expect(askForRoom(room(10, 500, gpu), [idle]).type).toBe('evict')
    expect(askForRoom(room(10, 500, gpu), [{ ...idle, state: 'later' }]).type).toBe('fits')
    expect(askForRoom(room(10, 50, gpu), [{ ...idle, state: 'later' }]).type).toBe('wait')
  })
})
