import type { Instant } from '../clock.ts'
import type { InstanceId } from '../protocol/ids.ts'
import { agentLimits } from './agent-limits.ts'
import type { HeldModels } from './held-models.ts'
import type { InstanceCommand } from './instance-event.ts'
import { log } from './instance-words.ts'
import type { Instance } from './instance.ts'
import { askForRoom, type Room } from './room.ts'

type Commands = readonly InstanceCommand[]

/** A model at the door: its file, the memory that there is now, and since when it waits. */
export type Guest = {
  readonly instance: Instance
  readonly path: string
  readonly room: Room
  readonly since: Instant
}

/**
 * Starts a model when there is room for it. Else idle models go for it, and it looks again until their memory is
 * back, or until models in use are idle.
 */
export function enterModel(
  held: HeldModels,
  { instance, path, room, since }: Guest,
  now: Instant,
): Commands {
  const answer = askForRoom(room, held.residents)

  if (answer.type === 'fits' && !held.isLeaving(instance)) {
    instance.footprint = room.needNow
    instance.admitted = room
    return held.start(instance, path)
  }
  if (held.isSettling(now) || answer.type === 'fits') return held.lookAgain(instance, path, since)
  if (answer.type === 'evict') {
    const gone = answer.instanceIds.flatMap(id => evict(held, id, instance))
    return [...gone, ...held.lookAgain(instance, path, since)]
  }
  if (answer.type === 'wait' && now - since < agentLimits.roomWaitMs)
    return held.lookAgain(instance, path, since)
  return held.fail(instance, answer.error)
}

function evict(held: HeldModels, instanceId: InstanceId, guest: Instance): Commands {
  const instance = held.of(instanceId)
  if (instance === undefined) throw new Error('only what is here can leave')
  const { name } = instance.load.manifest
  const text = `${name} is unloaded to make room for ${guest.load.manifest.name}`
  return [log('info', text), ...held.letGo(instance)]
}
