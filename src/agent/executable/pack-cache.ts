import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { explainFileError } from '../state-dir.ts'
import type { Timers } from '../timers.ts'
import { fileLock, tryFileLock, type FileLock } from './file-lock.ts'
import { unpack, verifyPack } from './pack.ts'

export type PackKind = 'runtime' | 'cuda'

export type PackPin = { readonly kind: PackKind; readonly manifestSha256: string }

export type OpenPackRequest = PackPin & {
  /** The compressed archive; asked for only when it is needed, under the cache's lock. */
  readonly archive: () => Promise<AsyncIterable<Uint8Array> | PackProblem>
}

/** For the owner of the machine, in words. */
export type PackProblem = { readonly problem: string }

export type OpenPack = {
  readonly dir: string
  readonly outcome: 'ready' | 'unpacked' | 'repaired'
  /** Says that the folder is in use: while it is held, no other agent cleans it away. */
  readonly use: FileLock
}

const packName = /^(?:runtime|cuda)-[0-9a-f]{16}$/
const unfinishedPrefix = 'unfinished-'

const folderName = ({ kind, manifestSha256 }: PackPin): string =>
  `${kind}-${manifestSha256.slice(0, 16)}`

/**
 * Folders of unpacked packs, named by content, so that versions of the agent do not meet. What is there is verified by
 * hash, what is damaged is unpacked anew, and a folder comes into being by one rename: no half of a pack is ever seen
 * under its name, whatever is killed when.
 */
export class PackCache {
  readonly #dir: string
  readonly #timers: Timers
  readonly #log: Logger

  constructor(dir: string, timers: Timers, log: Logger) {
    this.#dir = dir
    this.#timers = timers
    this.#log = log
  }

  /** @returns the folder, verified; or why there is none */
  async open(request: OpenPackRequest): Promise<OpenPack | PackProblem> {
    const name = folderName(request)
    const dir = join(this.#dir, name)
    let use: FileLock | null = null
    try {
      // Before looking: what is in use is not cleaned away between the look and the use.
      use = await fileLock(this.#lockPath(name), 'shared', this.#timers, () => {})
      if ((await verifyPack(dir, request.manifestSha256)) === 'good')
        return { dir, outcome: 'ready', use }
      const outcome = await this.#unpackAlone(request, dir)
      if (typeof outcome === 'string') return { dir, outcome, use }
      use.release()
      return outcome
    } catch (error) {
      use?.release()
      return { problem: `${dir} cannot be prepared: ${explainFileError(error)}` }
    }
  }

  /** Removes packs that no running agent uses, but for those of `keep`, used at present or not. */
  async clean(keep: readonly PackPin[]): Promise<void> {
    const lock = tryFileLock(join(this.#dir, 'unpack.lock'), 'alone')
    if (lock === null) return
    const kept = new Set(keep.map(folderName))
    try {
      for (const name of await readdir(this.#dir)) {
        const path = join(this.#dir, name)
        if (!packName.test(name) || kept.has(name)) continue
        const unused = tryFileLock(this.#lockPath(name), 'alone')
        if (unused === null) continue
        await this.#remove(path)
        unused.release()
        this.#log.info({ folder: path }, 'removed the files of another version')
      }
    } catch (error) {
      this.#log.warn({ err: error }, 'old versions could not be cleaned away')
    } finally {
      lock.release()
    }
  }

  async #unpackAlone(
    request: OpenPackRequest,
    dir: string,
  ): Promise<OpenPack['outcome'] | PackProblem> {
    const lock = await fileLock(join(this.#dir, 'unpack.lock'), 'alone', this.#timers, () =>
      this.#log.info('another agent is unpacking; waiting for it'),
    )
    try {
      // The one who had the lock may have done it.
      const found = await verifyPack(dir, request.manifestSha256)
      if (found === 'good') return 'ready'
      await this.#removeUnfinished()
      const archive = await request.archive()
      if ('problem' in archive) return archive
      const fresh = await mkdtemp(join(this.#dir, unfinishedPrefix))
      await unpack(archive, fresh)
      if ((await verifyPack(fresh, request.manifestSha256)) !== 'good')
        return {
          problem: 'the files that were unpacked are not those that this agent was built with',
        }
      if (found === 'damaged') await this.#remove(dir)
      await rename(fresh, dir)
      return found === 'damaged' ? 'repaired' : 'unpacked'
    } finally {
      // After a failure (a full disk, say) its remains go at once.
      await this.#removeUnfinished()
      lock.release()
    }
  }

  /** What killed agents left. Only the holder of the lock makes such folders, so none of them is in use. */
  async #removeUnfinished(): Promise<void> {
    for (const name of await readdir(this.#dir))
      if (name.startsWith(unfinishedPrefix)) await this.#removeIfPossible(join(this.#dir, name))
  }

  /** Out of sight by one rename first: a removal that is cut short must not leave half a pack under its name. */
  async #remove(dir: string): Promise<void> {
    if (!existsSync(dir)) return
    const aside = await mkdtemp(join(this.#dir, unfinishedPrefix))
    await rename(dir, join(aside, 'old'))
    await this.#removeIfPossible(aside)
  }

  /** It only takes room: a file that somebody holds (a virus scanner, say) goes at a later start. */
  async #removeIfPossible(folder: string): Promise<void> {
    try {
      await rm(folder, { recursive: true, force: true })
    } catch (error) {
      this.#log.warn({ err: error }, `${folder} cannot be removed now`)
    }
  }

  #lockPath(name: string): string {
    return join(this.#dir, `${name}.lock`)
  }
}

/** @returns the first of the places that can be written, made if it was not there; or what is wrong with each */
export async function usableCacheDir(
  places: readonly string[],
): Promise<{ readonly dir: string } | PackProblem> {
  const problems: string[] = []
  for (const dir of places) {
    try {
      await mkdir(dir, { recursive: true, mode: 0o700 })
      tryFileLock(join(dir, 'unpack.lock'), 'shared')?.release()
      await writeFile(join(dir, '.writable'), '')
      return { dir }
    } catch (error) {
      problems.push(`  ${dir}: ${explainFileError(error)}`)
    }
  }
  return {
    problem: `there is no place to unpack the engine; set GPUPOOL_AGENT_CACHE_DIR to a folder that can be written\n${problems.join('\n')}`,
  }
}
