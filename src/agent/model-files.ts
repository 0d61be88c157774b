import { existsSync } from 'node:fs'
import { mkdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from 'pino'
import type { ModelManifest, ModelSource } from '../models/manifest.ts'
import { partName, splitPaths, splitSha256 } from '../models/split-gguf.ts'
import type { Failure } from '../protocol/errors.ts'
import { limits } from '../protocol/limits.ts'
import { download, type DownloadRequest } from './download.ts'
import type { Fetch } from './download-redirect.ts'
import { claimFile } from './file-claim.ts'
import { FileHashes, hashFile } from './file-hashes.ts'
import type { ModelShelf } from './model-shelf.ts'
import { poolHeaders } from './pool-request.ts'
import type { Identity } from './state-dir.ts'
import type { Timers } from './timers.ts'

/** What a model needs to be found: a part of `Load`. */
export type Wanted = { readonly manifest: ModelManifest; readonly sources: readonly ModelSource[] }

export type ModelFilesDeps = {
  readonly modelsDir: string
  readonly identity: Pick<Identity, 'agentId' | 'origin' | 'apiKey'>
  readonly caPem: string
  readonly timers: Timers
  readonly log: Logger
  /** Makes room and remembers what is used; absent: files stay for good. */
  readonly shelf?: Pick<ModelShelf, 'makeRoom' | 'used'>
  /** The global `fetch`, unless a test looks at what is sent. */
  readonly send?: Fetch
}

/** One file to fetch; `model` is set where it is a part of one. */
type FileFacts = Pick<ModelManifest, 'name' | 'sha256' | 'sizeBytes'> & {
  readonly model?: ModelManifest
}
type Part = Pick<ModelManifest, 'sha256' | 'sizeBytes'>
type Found = { readonly path: string } | Failure

/** One search for one file, however many wait for it. */
type Search = {
  readonly abort: AbortController
  readonly listeners: Set<(ratio: number) => void>
  readonly found: Promise<Found>
}

/**
 * Gets model files: from a place on this machine, from the models folder, or by download. Only a file whose SHA-256 is
 * the manifest's is ever handed out.
 */
export class ModelFiles {
  readonly #deps: ModelFilesDeps
  readonly #hashes: FileHashes
  readonly #searches = new Map<string, Search>()
  /** The newest search for each file until it has ended, the given up ones included: two must not write one file. */
  readonly #unended = new Map<string, Promise<unknown>>()

  constructor(deps: ModelFilesDeps) {
    this.#deps = deps
    this.#hashes = new FileHashes(deps.modelsDir, deps.log)
  }

  /**
   * @param onProgress gets the share of a download that is done, 0 to 1
   * @param signal ends this caller's interest; the search stops when nobody waits for it any more
   * @returns the path of a verified file, or why no source has one
   */
  async obtain(
    wanted: Wanted,
    onProgress: (ratio: number) => void,
    signal: AbortSignal,
  ): Promise<Found> {
    const search = this.#searches.get(wanted.manifest.sha256) ?? this.#search(wanted)
    // Its own function, so that two callers that pass the same one are counted as two.
    const listener = (ratio: number) => onProgress(ratio)
    search.listeners.add(listener)
    const leave = () => {
      search.listeners.delete(listener)
      if (search.listeners.size === 0) search.abort.abort()
    }
    signal.addEventListener('abort', leave, { once: true })
    try {
      return await search.found
    } finally {
      signal.removeEventListener('abort', leave)
    }
  }

  #search(wanted: Wanted): Search {
    const { sha256 } = wanted.manifest
    const abort = new AbortController()
    const listeners = new Set<(ratio: number) => void>()
    const onProgress = (ratio: number) => listeners.forEach(listener => listener(ratio))
    // A search that was given up is forgotten at once: a new caller must not be handed its end.
    const forget = () => {
      if (this.#searches.get(sha256) === search) this.#searches.delete(sha256)
    }
    abort.signal.addEventListener('abort', forget)
    const before = this.#unended.get(sha256)
    const found = (async () => {
      await before
      return await this.#trySources(wanted, onProgress, abort.signal)
    })().finally(() => {
      forget()
      if (this.#unended.get(sha256) === found) this.#unended.delete(sha256)
    })
    const search: Search = { abort, listeners, found }
    this.#searches.set(sha256, search)
    this.#unended.set(sha256, found)
    return search
  }

  async #trySources(
    { manifest, sources }: Wanted,
    onProgress: (ratio: number) => void,
    signal: AbortSignal,
  ): Promise<Found> {
    const failures: Failure[] = []
    for (const source of sources) {
      if (source.kind === 'external') continue
      const found = await (manifest.parts !== undefined
        ? this.#allParts(source, manifest, manifest.parts, onProgress, signal)
        : source.kind === 'path'
          ? this.#checkFile(source.path, manifest, signal)
          : this.#fromUrl(source.url, this.#pathOf(manifest.sha256), manifest, onProgress, signal))
      if ('path' in found || signal.aborted) return found
      failures.push(found)
    }
    const message = failures.map(failure => failure.message).join('; ')
    return {
      code: failures.at(-1)?.code ?? 'model_load_failed',
      message: message.slice(0, limits.errorTextBytesMax / 4),
    }
  }

  /** A split model lies in a folder of its own, under names by which the engine finds all parts from the first. */
  async #allParts(
    source: Exclude<ModelSource, { kind: 'external' }>,
    manifest: ModelManifest,
    parts: readonly Part[],
    onProgress: (ratio: number) => void,
    signal: AbortSignal,
  ): Promise<Found> {
    const { modelsDir, identity } = this.#deps
    const folder = join(modelsDir, `${manifest.sha256}.split`)
    const paths = source.kind === 'path' ? splitPaths(source.path) : namesIn(folder, parts.length)
    if (
      splitSha256(parts) !== manifest.sha256 ||
      !Array.isArray(paths) ||
      parts.length !== paths.length
    )
      return {
        code: 'model_file_invalid',
        message: 'the parts of the model do not fit its manifest',
      }
    if (source.kind === 'url') await mkdir(folder, { recursive: true, mode: 0o700 })
    let doneBytes = 0
    for (const [index, { sha256, sizeBytes }] of parts.entries()) {
      const part = { name: manifest.name, sha256, sizeBytes, model: manifest }
      const path: string = paths[index]
      const before = doneBytes
      const progress = (ratio: number) =>
        onProgress((before + ratio * sizeBytes) / manifest.sizeBytes)
      const found = await (source.kind === 'path'
        ? this.#checkFile(path, part, signal)
        : this.#fromUrl(
            new URL(sha256, new URL(source.url, identity.origin)).href,
            path,
            part,
            progress,
            signal,
          ))
      if (!('path' in found)) return found
      doneBytes += sizeBytes
    }
    return { path: paths[0] }
  }

  readonly #pathOf = (sha256: string) => join(this.#deps.modelsDir, `${sha256}.gguf`)

  async #fromUrl(
    url: string,
    path: string,
    manifest: FileFacts,
    onProgress: (ratio: number) => void,
    signal: AbortSignal,
  ): Promise<Found> {
    const own = await this.#checkFile(path, manifest, signal)
    if ('path' in own) this.#deps.shelf?.used(manifest.model ?? manifest)
    if ('path' in own || signal.aborted) return own
    const request = this.#request(url, `${path}.part`, manifest.sizeBytes)
    if ('code' in request) return request
    try {
      const claim = await claimFile(path, this.#deps.timers, signal)
      if (claim === undefined) return unreadable(null, signal)
      try {
        // Whoever had the claim before may have fetched it.
        const theirs = await this.#checkFile(path, manifest, signal)
        if ('path' in theirs || signal.aborted) return theirs
        return await this.#downloadTo(path, request, manifest, onProgress, signal)
      } finally {
        claim.release()
      }
    } catch (error) {
      return unreadable(error, signal)
    }
  }

  async #downloadTo(
    path: string,
    request: DownloadRequest,
    manifest: FileFacts,
    onProgress: (ratio: number) => void,
    signal: AbortSignal,
  ): Promise<Found> {
    const { log, timers, send, shelf } = this.#deps
    const noRoom = await shelf?.makeRoom(manifest)
    if (noRoom !== undefined) return noRoom
    log.info({ model: manifest.name, sizeBytes: manifest.sizeBytes }, 'downloading')
    const begunBefore = existsSync(request.partPath)
    const failure = await download(request, timers, onProgress, signal, send)
    if (failure !== undefined) return failure
    // Before it has its name: a file without a note would never make way.
    shelf?.used(manifest.model ?? manifest, true)
    const adopted = await this.#adopt(request.partPath, path, manifest, signal)
    // The wrong bytes may be those from before, of another source or a damaged disk: once more without them.
    if (!begunBefore || 'path' in adopted || adopted.code !== 'model_file_invalid') return adopted
    log.warn({ model: manifest.name }, 'the continued download is not the model; from the start')
    return await this.#downloadTo(path, request, manifest, onProgress, signal)
  }

  /** Relative URLs are the pool's and get its key; anything else must be https and gets nothing of ours. */
  #request(url: string, partPath: string, sizeBytes: number): DownloadRequest | Failure {
    const { identity, caPem } = this.#deps
    if (!URL.canParse(url, identity.origin))
      return { code: 'model_load_failed', message: 'a source of the model is not a URL' }
    const resolved = new URL(url, identity.origin)
    if (resolved.protocol !== 'https:')
      return { code: 'model_load_failed', message: 'models are fetched with https only' }
    const pool =
      resolved.origin === identity.origin ? { headers: poolHeaders(identity), caPem } : null
    return { url: resolved.href, pool, partPath, sizeBytes }
  }

  /** A downloaded file gets its name only when its bytes are right; wrong ones are deleted. */
  async #adopt(
    partPath: string,
    path: string,
    manifest: FileFacts,
    signal: AbortSignal,
  ): Promise<Found> {
    try {
      if ((await hashFile(partPath, signal)) !== manifest.sha256) {
        await rm(partPath, { force: true })
        const message = 'the downloaded file is not the model: its SHA-256 differs'
        return { code: 'model_file_invalid', message }
      }
      await rename(partPath, path)
      return { path }
    } catch (error) {
      return unreadable(error, signal)
    }
  }

  /** Whether a regular file of the right size and hash lies at a path. Size first: it rules most mistakes out at once. */
  async #checkFile(path: string, manifest: FileFacts, signal: AbortSignal): Promise<Found> {
    try {
      const facts = await stat(path)
      if (!facts.isFile() || facts.size !== manifest.sizeBytes)
        return { code: 'model_file_invalid', message: `${path} is another file` }
      if ((await this.#hashes.of(path, signal)) === manifest.sha256) return { path }
      return { code: 'model_file_invalid', message: `${path} is another file: its SHA-256 differs` }
    } catch (error) {
      return unreadable(error, signal)
    }
  }
}

function unreadable(error: unknown, signal: AbortSignal): Failure {
  if (signal.aborted) return { code: 'cancelled', message: 'nobody waits for the file any more' }
  const message = error instanceof Error ? error.message : String(error)
  return { code: 'model_load_failed', message }
}

const namesIn = (folder: string, count: number): readonly string[] =>
  Array.from({ length: count }, (_, index) => join(folder, partName('model', index + 1, count)))
