import { judgeDevice } from '../../capability/judge-device.ts'
import type { Instant } from '../../clock.ts'
import { enrolmentLimits } from '../../protocol/enrolment.ts'
import type { Inventory } from '../../protocol/gpu.ts'

/**
 * What the owner of a machine should know when it joins: which of its devices may not serve, and why, and what is known
 * against their drivers (specification 5.4). Nobody is turned away for it: the processor can serve.
 */
export function registrationNotes(inventory: Inventory, now: Instant): string[] {
  const notes = inventory.gpus.flatMap(gpu => {
    const { eligible, reasons, driverNotes } = judgeDevice(inventory, gpu, now)
    return eligible
      ? driverNotes.map(note => `${gpu.name}: ${note}`)
      : [`${gpu.name} may not serve: ${reasons.join('; ')}`]
  })
  return [...new Set(notes)]
    .slice(0, enrolmentLimits.notesMax)
    .map(note => note.slice(0, enrolmentLimits.noteCharactersMax))
}
