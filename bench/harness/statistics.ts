/** A sample in five figures. */
export type Summary = {
  readonly median: number
  /** First and third quartile: half of the sample lies between them. */
  readonly q1: number
  readonly q3: number
  readonly min: number
  readonly max: number
}

/**
 * Linear interpolation between the two nearest values, as R's default (type 7).
 * @param share 0.5 is the median, 0.99 the 99th percentile
 * @throws on an empty sample
 */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (sorted.length - 1) * share
  const below = sorted[Math.floor(at)]
  const above = sorted[Math.ceil(at)]
  if (below === undefined || above === undefined) throw new Error('a sample is empty')
  return below + (above - below) * (at - Math.floor(at))
}

export const median = (values: readonly number[]): number => quantile(values, 0.5)

export const summarise = (values: readonly number[]): Summary => ({
  median: median(values),
  q1: quantile(values, 0.25),
  q3: quantile(values, 0.75),
  min: quantile(values, 0),
  max: quantile(values, 1),
})
