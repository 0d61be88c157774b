import { readFileSync } from 'node:fs'
import { readdir, rm, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { Type, type Static } from 'typebox'
import { Compile } from 'typebox/compile'
import type { Clock } from '../clock.ts'
import type { Failure } from '../protocol/errors.ts'
import { agentLimits } from './agent-limits.ts'
import { chooseEvictions, defaultBudgetBytes, type KeptFile } from './disk-budget.ts'
import { headroomOf } from './download-disk.ts'
import { measureFile, measureFolder } from './models/measure-files.ts'
import { selectFiles } from './models/select-files.ts'
import { gigabytes } from './size-text.ts'
import { explainFileError, writeAtomically } from './state-dir.ts'

const NotesSchema = Type.Record(
  Type.String({ pattern: '^[0-9a-f]{64}$' }),
  Type.Object({ name: Type.String(), lastUsedAt: Type.Number(), fetched: Type.Boolean() }),
)
const notesCheck = Compile(NotesSchema)
type Notes = Static<typeof NotesSchema>

/** A file in the models folder that is named after its content; `whole` is false while it is being fetched. */
export type ShelfFile = KeptFile & {
  readonly sha256: string
  /** As it was last called; null when that was never noted. */
  readonly name: string | null
  readonly whole: boolean
}

export type ModelShelfDeps = {
  readonly modelsDir: string
  /** What the files may take together; null: a share of the disk. */
  readonly budgetBytes: number | null
  /** SHA-256 of what is loaded, being loaded or being fetched. */
  readonly inUse: () => ReadonlySet<string>
  readonly wallClock: Clock
  readonly log: Logger
}

/** The models folder as a shelf of limited room: what lies on it, when it was last used, what makes way. */
export class ModelShelf {
  readonly #deps: ModelShelfDeps
  readonly #notesPath: string

  constructor(deps: ModelShelfDeps) {
    this.#deps = deps
    this.#notesPath = join(deps.modelsDir, 'shelf.json')
  }

  /** Notes that a file is used now, and that the agent fetched it if it did. */
  used(
    { sha256, name }: { readonly sha256: string; readonly name: string },
    fetched = false,
  ): void {
    const notes = this.#readNotes()
    const before = notes[sha256]?.fetched ?? false
    const lastUsedAt = this.#deps.wallClock.now()
    const all = { ...notes, [sha256]: { name, lastUsedAt, fetched: fetched || before } }
    const newest = Object.entries(all)
      .toSorted(([, a], [, b]) => b.lastUsedAt - a.lastUsedAt)
      .slice(0, agentLimits.hashesRememberedMax)
    try {
      writeAtomically(this.#notesPath, `${JSON.stringify(Object.fromEntries(newest), null, 1)}\n`)
    } catch (error) {
      this.#deps.log.warn({ err: error }, 'when models were used is not remembered')
    }
  }

  /** What lies in the folder, largest first; files of other names and links are nobody's business here. */
  async list(): Promise<readonly ShelfFile[]> {
    const { modelsDir } = this.#deps
    const names = await readdir(modelsDir).catch((): string[] => [])
    const notes = this.#readNotes()
    const inUse = this.#deps.inUse()
    const files: ShelfFile[] = []
    for (const fileName of names) {
      const match = /^([0-9a-f]{64})\.(gguf|gguf\.part|split)$/.exec(fileName)
      const sha256 = match?.[1]
      if (sha256 === undefined) continue
      const path = join(modelsDir, fileName)
      const found = await (match?.[2] === 'split' ? measureFolder(path) : measureFile(path))
      if (found === null) continue
      const note = notes[sha256]
      const whole = found.whole && match?.[2] !== 'gguf.part'
      files.push({
        path,
        sha256,
        name: note?.name ?? null,
        sizeBytes: found.sizeBytes,
        lastUsedAt: note?.lastUsedAt ?? found.modifiedMs,
        // Another agent on this folder that fetches the file has its lock.
        inUse: inUse.has(sha256) || found.claimed || names.includes(`${sha256}.gguf.lock`),
        own: !whole || note?.fetched === true,
        whole,
      })
    }
    return files.toSorted((a, b) => b.sizeBytes - a.sizeBytes)
  }

  /**
   * Makes room for a file that is about to be fetched, by removing the longest unused ones.
   * @returns why there can be none; then nothing was removed
   */
  async makeRoom(wanted: {
    readonly sha256: string
    readonly sizeBytes: number
  }): Promise<Failure | undefined> {
    const files = (await this.list()).filter(({ sha256 }) => sha256 !== wanted.sha256)
    const { bavail, blocks, bsize } = await statfs(this.#deps.modelsDir)
    const freeBytes = bavail * bsize
    const begun = join(this.#deps.modelsDir, `${wanted.sha256}.gguf.part`)
    const begunBytes = await stat(begun).then(
      facts => facts.size,
      () => 0,
    )
    const keptBytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
    const budgetBytes =
      this.#deps.budgetBytes ?? defaultBudgetBytes(freeBytes, keptBytes + begunBytes)
    const missingBytes = Math.max(
      keptBytes + wanted.sizeBytes - budgetBytes,
      wanted.sizeBytes - begunBytes + headroomOf(blocks * bsize) - freeBytes,
    )
    const evicted = chooseEvictions(files, missingBytes)
    if (evicted === null) {
      const message = `no room for a model of ${gigabytes(wanted.sizeBytes)}: models have ${gigabytes(keptBytes)} of ${gigabytes(budgetBytes)}, ${gigabytes(freeBytes)} of the disk are free; free some space there (gpupool-agent models rm NAME), or set GPUPOOL_AGENT_DISK_GB, or GPUPOOL_AGENT_DIR to a folder on a larger disk`
      return { code: 'model_load_failed', message }
    }
    for (const { path, name, sizeBytes } of evicted) {
      this.#deps.log.info({ path, model: name, sizeBytes }, 'removed, to make room')
      await rm(path, { force: true, recursive: true })
    }
    return undefined
  }

  /**
   * Removes a model that the owner of the machine names, fetched by the agent or not.
   * @param which a name, or the beginning of a hash
   * @returns what was removed, or why nothing was
   */
  async remove(
    which: string,
  ): Promise<{ readonly removed: readonly ShelfFile[] } | { readonly problem: string }> {
    const files = selectFiles(await this.list(), which)
    if ('problem' in files) return files
    for (const { path } of files) {
      try {
        await rm(path, { force: true, recursive: true })
      } catch (error) {
        return { problem: `${path} cannot be removed: ${explainFileError(error)}` }
      }
      this.#deps.log.info({ path }, 'removed, as the owner said')
    }
    return { removed: files }
  }

  /** Nothing when the file is missing or damaged: then files only look unused for longer. */
  #readNotes(): Notes {
    try {
      const value: unknown = JSON.parse(readFileSync(this.#notesPath, 'utf8'))
      return notesCheck.Check(value) ? value : {}
    } catch {
      return {}
    }
  }
}
