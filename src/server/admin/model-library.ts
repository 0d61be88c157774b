import type { FileHandle } from 'node:fs/promises'
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { ModelDescription } from '../../models/describe-model.ts'
import type { Failure } from '../../protocol/errors.ts'
import { isFailure, type ApiFailure } from '../http-error.ts'

/** A model file of a server; the largest open weights are below a fifth of this, a wrong URL may have no end. */
const modelFileBytesMax = 4 * 1024 ** 4
const downloadsAtOnceMax = 2

/** A model file that lies on the server's disk. */
export type ModelFile = { readonly path: string; readonly description: ModelDescription }

export type ModelLibraryDeps = {
  readonly dataDir: string
  readonly describeModel: (path: string) => Promise<ModelDescription | Failure>
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>
}

/** The files that models are added from: an operator's own, which stay where they are, and downloaded ones. */
export class ModelLibrary {
  readonly #deps: ModelLibraryDeps
  /** Where downloads go; each is named after its content, so that the same file is kept once. */
  readonly #folder: string
  #running = 0

  constructor(deps: ModelLibraryDeps) {
    this.#deps = deps
    this.#folder = join(deps.dataDir, 'models')
  }

  /** Describes a file of the operator. */
  async fromPath(path: string): Promise<ModelFile | ApiFailure> {
    const description = await this.#deps.describeModel(path)
    return isFailure(description) ? refusedSource(description.message) : { path, description }
  }

  /** Downloads a file into the data directory. A failed or aborted download leaves nothing behind. */
  async fromUrl(url: string, signal: AbortSignal): Promise<ModelFile | ApiFailure> {
    if (this.#running >= downloadsAtOnceMax)
      return {
        code: 'queue_full',
        message: `${this.#running} models are being downloaded already; wait for one to end.`,
      }
    this.#running++
    try {
      await mkdir(this.#folder, { recursive: true })
      if (this.#running === 1) await this.#removeParts()
      const part = join(this.#folder, `${crypto.randomUUID()}.part`)
      try {
        return await this.#download(url, part, signal)
      } finally {
        await rm(part, { force: true })
      }
    } finally {
      this.#running--
    }
  }

  /** Deletes a file that no model uses any more, if it was downloaded. */
  async discard(path: string): Promise<void> {
    if (dirname(path) === this.#folder) await rm(path, { force: true })
  }

  async #download(url: string, part: string, signal: AbortSignal): Promise<ModelFile | ApiFailure> {
    const failure = await this.#fetchInto(url, part, signal)
    if (failure !== null) return failure
    const description = await this.#deps.describeModel(part)
    if (isFailure(description)) {
      const what = description.message.replaceAll(part, 'the downloaded file')
      return refusedSource(`${what} (from ${url})`)
    }
    const path = join(this.#folder, `${description.sha256}.gguf`)
    await rename(part, path)
    return { path, description }
  }

  async #fetchInto(url: string, part: string, signal: AbortSignal): Promise<ApiFailure | null> {
    const file = await open(part, 'wx')
    try {
      const response = await this.#deps.fetch(url, { signal })
      if (!response.ok || response.body === null)
        return refusedSource(`${url} answers with HTTP status ${response.status}.`)
      const announced = Number(response.headers.get('content-length') ?? NaN)
      if (announced > modelFileBytesMax) return tooLarge(url)
      const written = await writeAll(file, response.body)
      if (written > modelFileBytesMax) return tooLarge(url)
      const encoded = response.headers.has('content-encoding')
      if (!encoded && announced >= 0 && written !== announced)
        return refusedSource(`${url} broke off after ${written} of ${announced} bytes.`)
      await file.sync()
      return null
    } catch (error) {
      return downloadFailure(url, error)
    } finally {
      await file.close()
    }
  }

  /** A server that was killed leaves its unfinished downloads; the data directory is locked, so they are ours. */
  async #removeParts(): Promise<void> {
    for (const name of await readdir(this.#folder))
      if (name.endsWith('.part')) await rm(join(this.#folder, name), { force: true })
  }
}

/** @returns bytes written; stops soon after the limit */
async function writeAll(file: FileHandle, body: ReadableStream<Uint8Array>): Promise<number> {
  let written = 0
  for await (const piece of body) {
    // A write may take less than it is given.
    for (let at = 0; at < piece.length;)
      at += (await file.write(piece, at, piece.length - at)).bytesWritten
    written += piece.length
    if (written > modelFileBytesMax) break
  }
  return written
}

/** Network and disk fail as a matter of course; anything else is a bug and goes on as one. */
function downloadFailure(url: string, error: unknown): ApiFailure {
  if (!(error instanceof Error)) throw error
  if ('syscall' in error && 'code' in error && error.code === 'ENOSPC')
    return { code: 'internal', message: `The server's disk is full; ${url} was not kept.` }
  if (error.name === 'AbortError')
    return { code: 'cancelled', message: 'The download was broken off.' }
  if ('syscall' in error || error instanceof TypeError || 'code' in error)
    return refusedSource(`${url} could not be downloaded: ${error.message}`)
  throw error
}

const refusedSource = (message: string): ApiFailure => ({
  code: 'invalid_request',
  message,
  param: 'source',
})

const tooLarge = (url: string): ApiFailure =>
  refusedSource(`${url} is larger than ${modelFileBytesMax} bytes.`)
