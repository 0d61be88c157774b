/**
 * Orders two versions by their numbers, left to right: 545 < 545.23 < 546, 32.0.101.8425 < 32.0.101.8860. What is not
 * a number ends the comparison (`6.8.0-117-generic` is 6.8.0.117), and a number that is missing is less than any.
 *
 * @returns below, at or above zero as usual; null when a text does not begin with a number
 */
export function compareVersions(left: string, right: string): number | null {
  const [a, b] = [numbersOf(left), numbersOf(right)]
  if (a.length === 0 || b.length === 0) return null
  for (let at = 0; at < Math.max(a.length, b.length); at++) {
    const difference = (a[at] ?? -1) - (b[at] ?? -1)
    if (difference !== 0) return difference
  }
  return 0
}

const numbersOf = (version: string): readonly number[] =>
  (/^\d+(?:[.-]\d+)*/.exec(version.trim())?.[0] ?? '')
    .split(/[.-]/)
    .filter(part => part !== '')
    .map(Number)

/** @returns whether `from` ≤ version < `before`; null when the version cannot be read */
export function isInRange(version: string, from: string, before: string): boolean | null {
  const [low, high] = [compareVersions(version, from), compareVersions(version, before)]
  return low === null || high === null ? null : low >= 0 && high < 0
}
