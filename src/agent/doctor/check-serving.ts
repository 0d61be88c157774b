import type { DeviceJudgement } from '../../capability/judge-device.ts'
import { says, type Finding } from './finding.ts'

export type ServingFacts = readonly (Pick<DeviceJudgement, 'eligible' | 'reasons' | 'score'> & {
  readonly name: string
})[]

const { ok, warning, skipped } = says('serving')

/** Whether the pool's rules let each device serve. A card that is too old is no fault to repair. */
export function checkServing(devices: ServingFacts): readonly Finding[] {
  if (devices.length === 0) return [skipped('there is no GPU')]
  return devices.map(({ name, eligible, reasons, score }) =>
    eligible
      ? ok(`${name} may serve, with a score of ${score} of 100`)
      : warning(
          `${name} may not serve: ${reasons.join('; ')}`,
          'nothing is broken; this machine serves on its processor, or with another card',
        ),
  )
}
