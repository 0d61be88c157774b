import { expect, test } from 'bun:test'
import { unknownReading } from '../gpu/probe.ts'
import type { GpuReading } from '../protocol/gpu.ts'
import { ThermalGuard } from './thermal-guard.ts'

const at = (id: string, temperature_c: number | null, reasons?: string[]): GpuReading => ({
  ...unknownReading(id),
  temperature_c,
  ...(reasons !== undefined && { throttle_reasons: reasons }),
})

test('the hottest device decides, and a change is told once', () => {
  const guard = new ThermalGuard()
  expect(guard.observe([at('a', 60), at('b', 60)])).toBe(false)
  expect(guard.observe([at('a', 60), at('b', 96)])).toBe(true)
  expect(guard.level).toBe('critical')
  expect(guard.refusal).toBe('a GPU was above 95 °C; work goes on below 85 °C')
  expect(guard.observe([at('a', 60), at('b', 99)])).toBe(false)
  expect(guard.observe([at('a', 96), at('b', 60)])).toBe(false)
  expect(guard.observe([at('a', 86), at('b', 60)])).toBe(false)
  expect(guard.observe([at('a', 84), at('b', 60)])).toBe(true)
  expect(guard.refusal).toBeNull()
})

test('throttling for heat degrades and refuses nothing', () => {
  const guard = new ThermalGuard()
  expect(guard.observe([at('a', 84, ['sw_thermal_slowdown'])])).toBe(true)
  expect(guard).toMatchObject({ level: 'throttled', refusal: null })
})

test('a driver that falls silent does not cool a device', () => {
  const guard = new ThermalGuard()
  guard.observe([at('a', 97)])
  guard.observe([at('a', null)])
  expect(guard.refusal).not.toBeNull()
})
