/**
 * `npm test`: lint, format, types, then every test. With arguments (`npm test -- src/protocol`) only the tests that
 * they select. The last line, `N passed, N failed`, is counted from Bun's own report and never says 0 failed when
 * anything failed: a failed check counts as one.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../src/clock.ts'
import { summarise, type TestCounts } from './test-counts.ts'

/** A cold PGlite takes up to 5 s on 2 busy cores, which is Bun's own default. */
const testTimeoutMs = 60_000

const checks = [
  { name: 'lint', command: ['node_modules/oxlint/bin/oxlint', '--type-aware', '--deny-warnings'] },
  { name: 'format', command: ['node_modules/prettier/bin/prettier.cjs', '--check', '.'] },
  { name: 'types', command: ['node_modules/typescript/bin/tsc', '-p', '.'] },
]

/** Runs a check and shows what it says only if it fails. @returns whether it passed */
async function check(name: string, command: readonly string[]): Promise<boolean> {
  const begun = systemClock.now()
  const child = Bun.spawn([process.execPath, ...command], {
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const [out, err, code] = await Promise.all([
    child.stdout.text(),
    child.stderr.text(),
    child.exited,
  ])
  const seconds = ((systemClock.now() - begun) / 1000).toFixed(1)
  // Some tools colour their output under CI, whether or not a terminal shows it.
  if (code !== 0) console.log(Bun.stripANSI(`${out}${err}`).trim())
  console.log(`${code === 0 ? 'ok    ' : 'FAILED'} ${name} (${seconds} s)`)
  return code === 0
}

/** Runs Bun's tests in the foreground. @returns its counts; a run that broke off counts as one failure more */
async function runTests(selection: readonly string[]): Promise<TestCounts> {
  const folder = mkdtempSync(join(tmpdir(), 'gpupool-test-'))
  const report = join(folder, 'junit.xml')
  try {
    const reporting = ['--reporter=junit', `--reporter-outfile=${report}`]
    const child = Bun.spawn(
      [process.execPath, 'test', `--timeout=${testTimeoutMs}`, ...reporting, ...selection],
      { stdin: 'ignore', stdout: 'inherit', stderr: 'inherit' },
    )
    const code = await child.exited
    return summarise((await Bun.file(report).exists()) ? readFileSync(report, 'utf8') : '', code)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const selection = process.argv.slice(2)
const failedChecks: string[] = []
if (selection.length === 0)
  for (const { name, command } of checks) if (!(await check(name, command))) failedChecks.push(name)

const tests = await runTests(selection)
const failed = tests.failed + failedChecks.length
if (failedChecks.length > 0) console.log(`\nfailed checks: ${failedChecks.join(', ')}`)
console.log(
  `\n${tests.passed} passed, ${failed} failed${tests.skipped > 0 ? `, ${tests.skipped} skipped` : ''}`,
)
process.exitCode = failed === 0 ? 0 : 1
