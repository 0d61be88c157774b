const unitsMs = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** @returns milliseconds of a text such as `90s`, `15m`, `2h` or `7d`; null for anything else */
export function parseDuration(text: string): number | null {
  const match = /^(\d{1,9})([smhd])$/.exec(text)
  const [, count, unit] = match ?? []
  if (count === undefined || !isUnit(unit)) return null
  return Number(count) * unitsMs[unit]
}

const isUnit = (text: string | undefined): text is keyof typeof unitsMs =>
  text !== undefined && Object.hasOwn(unitsMs, text)
