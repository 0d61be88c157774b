import { nvmlLibraries } from './nvml-ffi.ts'
import { openNvml, type NvmlLibrary } from './nvml-library.ts'
import { NvmlSession, type NvmlLook } from './nvml-session.ts'

/** What the reading process answers to a request, as one line of JSON. */
export type NvmlReport =
  | NvmlLook
  /** No NVML can be opened; one reason per place that was tried. */
  | { readonly type: 'no_library'; readonly reasons: readonly string[] }

/** The one request: a line with this word. */
export const lookRequest = 'look'

/**
 * Makes this process the reading process until its input ends.
 * @param given libraries to try instead of the usual places
 */
export const serveNvml = (given: readonly string[]): Promise<void> =>
  runNvmlReader(
    given.length > 0 ? given : nvmlLibraries(process.platform, process.env),
    Bun.stdin.stream(),
    line => process.stdout.write(line),
  )

/**
 * The reading process: answers a look per line of its input and ends with its input, so that a killed agent leaves none
 * behind. The library is opened at the first request and again after a failure, since a driver may be installed later.
 */
export async function runNvmlReader(
  libraries: readonly string[],
  input: AsyncIterable<Uint8Array>,
  write: (line: string) => void,
): Promise<void> {
  let session: NvmlSession | null = null
  const answer = (): NvmlReport => {
    if (session !== null) return session.look()
    const opened = openNvml(libraries)
    if (!isLibrary(opened)) return { type: 'no_library', reasons: opened }
    session = new NvmlSession(opened)
    return session.look()
  }
  for await (const chunk of input)
    for (const byte of chunk)
      // The line starts anew because a driver's library may have printed something of its own.
      if (byte === newline) write(`\n${JSON.stringify(answer())}\n`)
}

const newline = 10

const isLibrary = (opened: NvmlLibrary | readonly string[]): opened is NvmlLibrary =>
  'call' in opened
