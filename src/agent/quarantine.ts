import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { Type } from 'typebox'
import { Compile } from 'typebox/compile'
import { agentLimits } from './agent-limits.ts'
import type { QuarantinedFile } from './death-records.ts'
import { StateError, writeAtomically } from './state-dir.ts'

const QuarantineSchema = Type.Object({
  engineVersion: Type.String(),
  files: Type.Array(
    Type.Object({
      sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
      model: Type.String(),
      reason: Type.String(),
    }),
  ),
})
const quarantineCheck = Compile(QuarantineSchema)

/**
 * The files that ended their workers, in the state directory (`quarantine.json`), so that a new start of the agent does
 * not begin with them. Another version of the engine begins with none: it may know better.
 */
export class Quarantine {
  readonly #path: string
  readonly #engineVersion: string
  readonly #log: Logger
  #files: readonly QuarantinedFile[]

  constructor(dir: string, engineVersion: string, log: Logger) {
    this.#path = join(dir, 'quarantine.json')
    this.#engineVersion = engineVersion
    this.#log = log
    this.#files = this.#read()
  }

  /** The youngest last. */
  get files(): readonly QuarantinedFile[] {
    return this.#files
  }

  add(file: QuarantinedFile): void {
    const others = this.#files.filter(({ sha256 }) => sha256 !== file.sha256)
    this.#files = [...others, file].slice(-agentLimits.quarantinedFilesMax)
    const content = { engineVersion: this.#engineVersion, files: this.#files }
    try {
      writeAtomically(this.#path, `${JSON.stringify(content, null, 2)}\n`)
    } catch (error) {
      if (!(error instanceof StateError)) throw error
      this.#log.warn(`the quarantine holds only until this agent ends: ${error.message}`)
    }
  }

  #read(): readonly QuarantinedFile[] {
    let content: unknown
    try {
      content = JSON.parse(readFileSync(this.#path, 'utf8'))
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT'))
        this.#log.warn(`${this.#path} cannot be read and counts as empty: ${String(error)}`)
      return []
    }
    if (!quarantineCheck.Check(content)) {
      this.#log.warn(`${this.#path} makes no sense and counts as empty`)
      return []
    }
    if (content.engineVersion === this.#engineVersion) return content.files
    this.#log.info('the engine is another version: files in quarantine are tried again')
    return []
  }
}
