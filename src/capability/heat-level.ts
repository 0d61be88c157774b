import type { GpuReading } from '../protocol/gpu.ts'
import { isThrottledByHeat } from './thermal-window.ts'

/** Above it work is stopped (specification 5.3). */
export const criticalTemperatureC = 95
/** Stopped work is taken up again below it: a card that has just lost its load cools by some degrees within seconds. */
export const cooledTemperatureC = 85

/** `throttled`: the driver slows the device down for heat. `critical`: it was too hot and has not cooled down since. */
export type HeatLevel = 'normal' | 'throttled' | 'critical'

type HeatReading = Pick<GpuReading, 'temperature_c' | 'throttle_reasons'>

/** One device's level after one more reading. One that says nothing leaves a critical device what it was. */
export function heatLevel(before: HeatLevel, reading: HeatReading): HeatLevel {
  const { temperature_c: temperatureC } = reading
  if (temperatureC !== null && temperatureC > criticalTemperatureC) return 'critical'
  if (before === 'critical' && (temperatureC === null || temperatureC >= cooledTemperatureC))
    return 'critical'
  return isThrottledByHeat(reading) === true ? 'throttled' : 'normal'
}

/** Whether a thermal event goes on: the driver throttles for heat, or it is as hot as that. Null: nothing is known. */
export function isTooHot(reading: HeatReading): boolean | null {
  const throttled = isThrottledByHeat(reading)
  const { temperature_c: temperatureC } = reading
  if (throttled === true || temperatureC === null) return throttled
  return temperatureC > criticalTemperatureC || throttled
}
