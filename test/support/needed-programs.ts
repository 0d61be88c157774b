/**
 * Whether the programs that some tests need beside Bun are there. Where they may be installed they must be: in
 * continuous integration a missing one fails; elsewhere the tests are skipped, and standard error says so.
 */
export function haveForTests(...programs: readonly string[]): boolean {
  const missing = programs.filter(program => Bun.which(program) === null)
  if (missing.length === 0) return true
  const text = `tests that need ${missing.join(' and ')} cannot run on this machine`
  if (process.env['CI'] !== undefined && process.platform === 'linux')
    throw new Error(`${text}; .ci/run installs what they need`)
  process.stderr.write(`SKIPPED: ${text}\n`)
  return false
}
