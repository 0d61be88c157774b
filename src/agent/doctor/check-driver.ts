import type { DriverJudgement } from '../../capability/driver-blacklist.ts'
import { toldOf } from '../engine/driver-workarounds.ts'
import { says, type Finding } from './finding.ts'

export type DriverOfDevice = {
  readonly name: string
  readonly driverVersion: string | null
  readonly judgement: DriverJudgement
}

const { ok, warning, failing, skipped } = says('driver')

/** Whether the list of drivers with known trouble speaks of one of these. */
export function checkDriver(devices: readonly DriverOfDevice[]): readonly Finding[] {
  if (devices.length === 0) return [skipped('there is no GPU')]
  return devices.map(device => {
    const { judgement, name } = device
    const driver = device.driverVersion === null ? '' : ` ${device.driverVersion}`
    const told = judgement.matches.map(entry => entry.reason).join(' ')
    const todo = judgement.matches
      .map(entry => entry.workaround.text)
      .filter(Boolean)
      .join(' ')
    switch (judgement.verdict) {
      case 'clear':
        return ok(`${name}: driver${driver} is on no list of bad ones`)
      case 'unknown':
        return warning(
          `${name}: the version of its driver could not be read`,
          'install a current driver of its maker, then look again',
        )
      case 'warned':
        return warning(`${name}: driver${driver}: ${told}`, todo || 'install another version')
      case 'helped':
        return warning(
          `${name}: driver${driver} works with a workaround: ${toldOf(judgement)}`,
          todo || 'install another version to do without it',
        )
      case 'refused':
        return failing(`${name}: driver${driver}: ${told}`, todo || 'install another version')
    }
  })
}
