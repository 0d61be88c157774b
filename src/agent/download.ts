import { open, rm, stat } from 'node:fs/promises'
import type { Failure } from '../protocol/errors.ts'
import { agentLimits } from './agent-limits.ts'
import { judgeAnswer } from './download-answer.ts'
import { diskShortage, isFull, writeFailure } from './download-disk.ts'
import { fetchFollowing, type Fetch, type HopRequest } from './download-redirect.ts'
import { StallGuard } from './stall-guard.ts'
import type { Timers } from './timers.ts'
import { waited } from './waited.ts'

export type DownloadRequest = HopRequest & {
  /** Where the bytes gather; what is there from before is continued. */
  readonly partPath: string
  readonly sizeBytes: number
}

type Outcome =
  | { readonly type: 'complete' }
  | { readonly type: 'given_up'; readonly error: Failure }
  | { readonly type: 'broken_off'; readonly reason: string }

/** What one attempt leaves for the next. */
type Memory = {
  /** Names the version that the bytes so far are of; null: the server does not say. */
  etag: string | null
  /** The most bytes that were ever there: a server without ranges may begin anew forever. */
  furthestBytes: number
}

/**
 * Brings a file to `partPath`, however often the line is cut, and leaves it there unverified. Interrupted downloads go
 * on where they stopped, in this process or a later one; one that finds the disk full leaves nothing.
 * @param send the global `fetch`, unless a test looks at what is sent
 * @returns a failure, or undefined when all bytes are there
 */
export async function download(
  request: DownloadRequest,
  timers: Timers,
  onProgress: (ratio: number) => void,
  signal: AbortSignal,
  send: Fetch = fetch,
): Promise<Failure | undefined> {
  let failures = 0
  const memory: Memory = { etag: null, furthestBytes: await startingOffset(request) }
  for (;;) {
    const before = memory.furthestBytes
    const outcome = await attempt(request, { timers, onProgress, signal, send, memory })
    if (outcome.type === 'complete') return undefined
    if (outcome.type === 'given_up') return outcome.error
    const gainedBytes = memory.furthestBytes - before
    failures = gainedBytes >= agentLimits.downloadProgressBytes ? 1 : failures + 1
    if (failures >= agentLimits.downloadAttemptsMax)
      return {
        code: 'model_load_failed',
        message: `the download failed ${failures} times, last: ${outcome.reason}`,
      }
    const waitMs = agentLimits.downloadRetryMinMs * 2 ** (failures - 1)
    await waited(Math.min(agentLimits.downloadRetryMaxMs, waitMs), timers, signal)
  }
}

type AttemptDeps = {
  readonly timers: Timers
  readonly onProgress: (ratio: number) => void
  readonly signal: AbortSignal
  readonly send: Fetch
  readonly memory: Memory
}

async function attempt(request: DownloadRequest, deps: AttemptDeps): Promise<Outcome> {
  const { timers, onProgress, signal, send, memory } = deps
  const { partPath, sizeBytes } = request
  if (signal.aborted) return stopped
  const stall = new StallGuard(timers)
  try {
    const offset = await startingOffset(request)
    if (offset === sizeBytes) return { type: 'complete' }
    const full = await diskShortage(partPath, sizeBytes - offset)
    if (full !== undefined) return await givenUpEmpty(partPath, full)
    const either = AbortSignal.any([signal, stall.signal])
    const response = await fetchFollowing(request, headersFor(offset, memory), either, send)
    if ('problem' in response) return loadFailed(response.problem)
    const verdict = judgeAnswer(response, offset, sizeBytes)
    if (verdict.type !== 'body') {
      await response.body?.cancel()
      return verdict
    }
    memory.etag = strongEtag(response)
    let totalBytes = verdict.start
    for await (const total of append(response, request, verdict.start, stall)) {
      totalBytes = total
      memory.furthestBytes = Math.max(memory.furthestBytes, total)
      onProgress(total / sizeBytes)
    }
    if (totalBytes === sizeBytes) return { type: 'complete' }
    return { type: 'broken_off', reason: 'the connection was cut' }
  } catch (error) {
    return await outcomeOf(error, partPath, signal)
  } finally {
    stall.stop()
  }
}

async function startingOffset({ partPath, sizeBytes }: DownloadRequest): Promise<number> {
  const offset = await stat(partPath).then(
    facts => facts.size,
    () => 0,
  )
  if (offset <= sizeBytes) return offset
  await rm(partPath, { force: true })
  return 0
}

const headersFor = (offset: number, { etag }: Memory): Record<string, string> => ({
  'accept-encoding': 'identity',
  ...(offset > 0 ? { range: `bytes=${offset}-` } : {}),
  // Without it a server that has another file by now would send the rest of that one.
  ...(offset > 0 && etag !== null ? { 'if-range': etag } : {}),
})

/** Only strong ones say that the bytes are the same (RFC 9110, 13.1.5). */
function strongEtag({ headers }: Response): string | null {
  const etag = headers.get('etag')
  return etag?.startsWith('"') === true ? etag : null
}

/** Writes the body behind `start`. Yields the size of the file after every piece. */
async function* append(
  response: Response,
  { partPath, sizeBytes }: DownloadRequest,
  start: number,
  stall: StallGuard,
): AsyncGenerator<number> {
  if (response.body === null) return
  const file = await open(partPath, start === 0 ? 'w' : 'a', 0o600)
  try {
    let total = start
    for await (const chunk of response.body) {
      stall.alive()
      total += chunk.byteLength
      if (total > sizeBytes) throw new TooLong()
      await file.appendFile(chunk)
      yield total
    }
    // Before the hash is checked and remembered: after a power cut the bytes must be those that were hashed.
    await file.sync()
  } finally {
    await file.close()
  }
}

class TooLong extends Error {}

async function outcomeOf(error: unknown, partPath: string, signal: AbortSignal): Promise<Outcome> {
  if (signal.aborted) return stopped
  if (error instanceof TooLong)
    return givenUp({
      code: 'model_file_invalid',
      message: 'the source sends more bytes than the catalogue says',
    })
  const failure = writeFailure(partPath, error)
  if (failure !== undefined)
    return isFull(error) ? await givenUpEmpty(partPath, failure) : givenUp(failure)
  return { type: 'broken_off', reason: error instanceof Error ? error.message : String(error) }
}

/** What was begun cannot be ended here, and takes room that the owner needs. */
async function givenUpEmpty(partPath: string, error: Failure): Promise<Outcome> {
  await rm(partPath, { force: true })
  return givenUp(error)
}

const givenUp = (error: Failure): Outcome => ({ type: 'given_up', error })
const loadFailed = (message: string): Outcome => givenUp({ code: 'model_load_failed', message })
const stopped = givenUp({ code: 'cancelled', message: 'the download was stopped' })
