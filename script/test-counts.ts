export type TestCounts = {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

const attribute = (tag: string, name: string): number =>
  Number(new RegExp(`\\s${name}="(\\d+)"`).exec(tag)?.[1] ?? 0)

/**
 * Counts from a JUnit report and the exit code of the run that wrote it. A run that fails without a failed test (a file
 * that does not load, an error between tests, a crash) counts as one failure; so does a run without a test.
 */
export function summarise(report: string, exitCode: number): TestCounts {
  const total = /<testsuites\b[^>]*>/.exec(report)?.[0] ?? ''
  const tests = attribute(total, 'tests')
  const skipped = attribute(total, 'skipped')
  const failed = attribute(total, 'failures') + attribute(total, 'errors')
  const unexplained = failed === 0 && (exitCode !== 0 || tests === 0) ? 1 : 0
  return { passed: Math.max(0, tests - skipped - failed), failed: failed + unexplained, skipped }
}
