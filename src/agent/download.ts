import { open, rm, stat, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Failure } from '../protocol/errors.ts'
import { agentLimits } from './agent-limits.ts'
import type { Timers } from './timers.ts'

export type DownloadRequest = {
  readonly url: string
  /** What goes to this server alone; null: an ordinary https server, checked against the system's authorities. */
  readonly pool: {
    readonly headers: Readonly<Record<string, string>>
    readonly caPem: string
  } | null
  /** Where the bytes gather; what is there from before is continued. */
  readonly partPath: string
  readonly sizeBytes: number
}

type Outcome =
  | { readonly type: 'complete' }
  | { readonly type: 'given_up'; readonly error: Failure }
  | { readonly type: 'broken_off'; readonly reason: string; readonly gainedBytes: number }

/**
 * Brings a file to `partPath`, however often the line is cut, and leaves it there unverified. Interrupted downloads go
 * on where they stopped, in this process or a later one.
 * @returns a failure, or undefined when all bytes are there
 */
export async function download(
  request: DownloadRequest,
  timers: Timers,
  onProgress: (ratio: number) => void,
  signal: AbortSignal,
): Promise<Failure | undefined> {
  let failures = 0
  for (;;) {
    const outcome = await attempt(request, timers, onProgress, signal)
    if (outcome.type === 'complete') return undefined
    if (outcome.type === 'given_up') return outcome.error
    failures = outcome.gainedBytes >= agentLimits.downloadProgressBytes ? 1 : failures + 1
    if (failures >= agentLimits.downloadAttemptsMax)
      return loadFailed(`the download failed ${failures} times, last: ${outcome.reason}`)
    const waitMs = agentLimits.downloadRetryMinMs * 2 ** (failures - 1)
    await waited(Math.min(agentLimits.downloadRetryMaxMs, waitMs), timers, signal)
  }
}

async function attempt(
  request: DownloadRequest,
  timers: Timers,
  onProgress: (ratio: number) => void,
  signal: AbortSignal,
): Promise<Outcome> {
  if (signal.aborted) return givenUp({ code: 'cancelled', message: 'the download was stopped' })
  const stall = new StallGuard(timers)
  let writtenBytes = 0
  try {
    const offset = await startingOffset(request)
    if (offset === request.sizeBytes) return { type: 'complete' }
    const full = await diskShortage(request, request.sizeBytes - offset)
    if (full !== undefined) return givenUp(full)
    const response = await requestFrom(request, offset, AbortSignal.any([signal, stall.signal]))
    const start = startOf(response, offset, request.sizeBytes)
    if (typeof start !== 'number') return start
    for await (const total of append(response, request, start, stall)) {
      writtenBytes = total - start
      onProgress(total / request.sizeBytes)
    }
    if (start + writtenBytes === request.sizeBytes) return { type: 'complete' }
    return { type: 'broken_off', reason: 'the connection was cut', gainedBytes: writtenBytes }
  } catch (error) {
    return failureOf(error, signal, writtenBytes)
  } finally {
    stall.stop()
  }
}

/** Cuts a transfer that brings nothing for too long. */
class StallGuard {
  readonly #abort = new AbortController()
  readonly #timers: Timers
  #cancel: () => void = () => {}

  constructor(timers: Timers) {
    this.#timers = timers
    this.alive()
  }

  get signal(): AbortSignal {
    return this.#abort.signal
  }

  alive(): void {
    this.#cancel()
    const seconds = agentLimits.downloadStallMs / 1_000
    this.#cancel = this.#timers.after(agentLimits.downloadStallMs, () =>
      this.#abort.abort(new Error(`nothing came for ${seconds} s`)),
    )
  }

  stop(): void {
    this.#cancel()
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

const requestFrom = (
  { url, pool }: DownloadRequest,
  offset: number,
  signal: AbortSignal,
): Promise<Response> =>
  fetch(url, {
    signal,
    headers: {
      ...pool?.headers,
      'accept-encoding': 'identity',
      ...(offset > 0 ? { range: `bytes=${offset}-` } : {}),
    },
    // A redirect would carry the pool's key to somebody else; public hosts redirect to their caches.
    ...(pool === null ? {} : { tls: { ca: pool.caPem }, redirect: 'error' as const }),
  })

/** Where the body begins in the file (0: the server ignored the range), or why there is nothing to read. */
function startOf(response: Response, offset: number, sizeBytes: number): number | Outcome {
  const { status } = response
  const length = response.headers.get('content-length')
  if (status === 200) {
    if (length !== null && Number(length) !== sizeBytes)
      return givenUp(invalid(`the source has ${length} bytes, the catalogue says ${sizeBytes}`))
    return 0
  }
  if (status === 206) {
    const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(response.headers.get('content-range') ?? '')
    if (range !== null && Number(range[1]) === offset) return offset
    return givenUp(loadFailed('the source answers ranges with other ranges'))
  }
  if (status === 408 || status === 429 || status >= 500)
    return { type: 'broken_off', reason: `the source answers ${status}`, gainedBytes: 0 }
  return givenUp(loadFailed(`the source answers ${status}`))
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

function failureOf(error: unknown, signal: AbortSignal, gainedBytes: number): Outcome {
  if (signal.aborted) return givenUp({ code: 'cancelled', message: 'the download was stopped' })
  if (error instanceof TooLong)
    return givenUp(invalid('the source sends more bytes than the catalogue says'))
  const code = error instanceof Error ? Reflect.get(error, 'code') : undefined
  if (code === 'ENOSPC' || code === 'EDQUOT') return givenUp(loadFailed('the disk is full'))
  if (code === 'EACCES' || code === 'EROFS' || code === 'EIO')
    return givenUp(loadFailed(`the model folder cannot be written (${code})`))
  const reason = error instanceof Error ? error.message : String(error)
  return { type: 'broken_off', reason, gainedBytes }
}

async function diskShortage(
  { partPath }: DownloadRequest,
  neededBytes: number,
): Promise<Failure | undefined> {
  const { bavail, bsize } = await statfs(dirname(partPath))
  const freeBytes = bavail * bsize - agentLimits.diskHeadroomBytes
  if (neededBytes <= freeBytes) return undefined
  const mb = (bytes: number) => `${Math.max(0, Math.round(bytes / 1024 ** 2))} MB`
  return loadFailed(
    `the disk is full: ${mb(neededBytes)} are needed, ${mb(freeBytes)} are free for models`,
  )
}

function waited(ms: number, timers: Timers, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const done = () => {
      cancel()
      signal.removeEventListener('abort', done)
      resolve()
    }
    const cancel = timers.after(ms, done)
    signal.addEventListener('abort', done)
  })
}

const givenUp = (error: Failure): Outcome => ({ type: 'given_up', error })
const loadFailed = (message: string): Failure => ({ code: 'model_load_failed', message })
const invalid = (message: string): Failure => ({ code: 'model_file_invalid', message })
