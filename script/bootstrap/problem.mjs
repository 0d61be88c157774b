/** A failure that the person in front of the terminal can do something about; its message says what. */
export class Problem extends Error {}

const diskFull = /ENOSPC|no space left|NoSpaceLeft|disk full/i

export const isDiskFull = text => diskFull.test(text)

/** Causes by what npm, Bun and the operating system say of them; the first match wins. */
const causes = [
  [diskFull, 'the disk is full; gpupool needs about 1 GB free.'],
  [
    /EROFS|EACCES|EPERM|read-only file system|ReadOnlyFileSystem|AccessDenied|permission denied/i,
    'this folder cannot be written; use a copy in a folder that belongs to you.',
  ],
  [
    /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ConnectionRefused|ConnectionClosed|FailedToOpenSocket|UnableToResolve|DNS|network|timed? ?out/i,
    'the npm registry cannot be reached; check the network, and the proxy and registry settings of npm. The first start needs it once.',
  ],
  [
    /CERT|certificate/i,
    'the npm registry’s certificate is not trusted here; behind a proxy of your own, set NODE_EXTRA_CA_CERTS to its certificate.',
  ],
  [
    /lockfile had changes|lockfile is frozen/i,
    'bun.lock does not belong to this package.json; run `bun install` after a change of dependencies, or restore both files.',
  ],
]

/** The likely cause in words, or undefined. */
const causeOf = text => causes.find(([sign]) => sign.test(text))?.[1]

const linesShown = 6

/** A helper program that failed: what it was for, the likely cause, and the end of what it printed. */
export function helperFailed(what, output) {
  const lines = output.split('\n').filter(line => line.trim() !== '')
  const shown = lines.slice(-linesShown).map(line => `  ${line.slice(0, 300)}`)
  return new Problem([`${what}: ${causeOf(output) ?? 'see below.'}`, ...shown].join('\n'))
}

/** @returns text for the terminal; the stack only where it is our own mistake */
export function explain(error, root) {
  if (error instanceof Problem) return error.message
  const cause = causeOf(`${error?.code ?? ''}`)
  if (cause !== undefined) return `${cause}\n  ${error.message}\n  (in ${root})`
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}
