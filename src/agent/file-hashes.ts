import { readFileSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { Type } from 'typebox'
import { Compile } from 'typebox/compile'
import { agentLimits } from './agent-limits.ts'
import { writeAtomically } from './state-dir.ts'

const remembered = Compile(
  Type.Record(
    Type.String(),
    Type.Object({ sizeBytes: Type.Number(), modifiedMs: Type.Number(), sha256: Type.String() }),
  ),
)

type Remembered = {
  readonly sizeBytes: number
  readonly modifiedMs: number
  readonly sha256: string
}

/**
 * SHA-256 of files, remembered in `hashes.json` for as long as size and modification time stay the same: hashing 40 GB
 * takes minutes, and a model is loaded again and again.
 */
export class FileHashes {
  readonly #path: string
  readonly #log: Logger
  readonly #known: Map<string, Remembered>

  constructor(modelsDir: string, log: Logger) {
    this.#path = join(modelsDir, 'hashes.json')
    this.#log = log
    this.#known = readRemembered(this.#path)
  }

  /**
   * @param signal stops the reading
   * @returns lower-case hex; the file is read only when it is not remembered
   * @throws Node's error when the file cannot be read; the signal's reason when it stops
   */
  async of(path: string, signal: AbortSignal): Promise<string> {
    const { size: sizeBytes, mtimeMs: modifiedMs } = await stat(path)
    const known = this.#known.get(path)
    if (known !== undefined && known.sizeBytes === sizeBytes && known.modifiedMs === modifiedMs)
      return known.sha256
    const sha256 = await hashFile(path, signal)
    this.#remember(path, { sizeBytes, modifiedMs, sha256 })
    return sha256
  }

  #remember(path: string, facts: Remembered): void {
    this.#known.delete(path)
    this.#known.set(path, facts)
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= agentLimits.hashesRememberedMax) break
      this.#known.delete(oldest)
    }
    try {
      writeAtomically(this.#path, `${JSON.stringify(Object.fromEntries(this.#known), null, 1)}\n`)
    } catch (error) {
      this.#log.warn({ err: error }, 'hashes are not remembered; files will be read again')
    }
  }
}

/** Reads a file in pieces. @returns lower-case hex */
export async function hashFile(path: string, signal: AbortSignal): Promise<string> {
  const hasher = new Bun.CryptoHasher('sha256')
  for await (const chunk of Bun.file(path).stream()) {
    signal.throwIfAborted()
    hasher.update(chunk)
  }
  return hasher.digest('hex')
}

/** What the file holds; nothing when it is missing or damaged, since everything in it can be found out again. */
function readRemembered(path: string): Map<string, Remembered> {
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'))
    return new Map(remembered.Check(value) ? Object.entries(value) : [])
  } catch {
    return new Map()
  }
}
