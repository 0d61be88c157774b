import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'

/** A file that agents and contributors may fetch. */
export type OfferedFile = {
  readonly name: string
  /** `linux-x64` and so on. */
  readonly target: string
  readonly kind: 'agent' | 'cuda'
  readonly sizeBytes: number
  readonly sha256: string
}

type Hashed = { readonly sizeBytes: number; readonly modifiedMs: number; readonly sha256: string }

/** There are five executables and a few packs; a folder with more of them is not what it should be. */
const filesMax = 64

const kinds: readonly { readonly kind: OfferedFile['kind']; readonly name: RegExp }[] = [
  { kind: 'agent', name: /^gpupool-agent-([a-z0-9]+-[a-z0-9]+)(?:\.exe)?$/ },
  { kind: 'cuda', name: /^runtime-([a-z0-9]+-[a-z0-9]+)-cuda-[0-9.]+\.tar\.zst$/ },
]

/**
 * What `bun run build:agent` made, as the server offers it. Folders are looked at on every question, so that a new build
 * is there at once; a file is read for its hash once, until it changes.
 */
export class DownloadFiles {
  readonly #dirs: readonly string[]
  /** By path. */
  readonly #hashed = new Map<string, Promise<Hashed>>()

  /** @param dirs of two files with the same name the one in the earlier folder counts */
  constructor(dirs: readonly string[]) {
    this.#dirs = dirs
  }

  /** By name. */
  async list(): Promise<readonly OfferedFile[]> {
    const found = new Map<string, string>()
    for (const dir of this.#dirs)
      for (const name of await namesIn(dir))
        if (!found.has(name) && found.size < filesMax) found.set(name, join(dir, name))
    const offered = await Promise.all([...found].map(([name, path]) => this.#describe(name, path)))
    return offered.filter(file => file !== null).toSorted((a, b) => (a.name < b.name ? -1 : 1))
  }

  /** @returns where the file lies and what it is; undefined when it is not offered */
  async find(
    name: string,
  ): Promise<{ readonly path: string; readonly file: OfferedFile } | undefined> {
    if (kindOf(name) === null) return undefined
    for (const dir of this.#dirs) {
      const path = join(dir, name)
      const file = await this.#describe(name, path)
      if (file !== null) return { path, file }
    }
    return undefined
  }

  async #describe(name: string, path: string): Promise<OfferedFile | null> {
    const what = kindOf(name)
    if (what === null) return null
    try {
      const { sizeBytes, sha256 } = await this.#hash(path)
      return { name, ...what, sizeBytes, sha256 }
    } catch (error) {
      this.#hashed.delete(path)
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
      throw error
    }
  }

  async #hash(path: string): Promise<Hashed> {
    const { size, mtimeMs } = await stat(path)
    const known = await this.#hashed.get(path)
    if (known?.sizeBytes === size && known.modifiedMs === mtimeMs) return known
    const hashing = hashFile(path, size, mtimeMs)
    this.#hashed.set(path, hashing)
    return await hashing
  }
}

function kindOf(name: string): Pick<OfferedFile, 'kind' | 'target'> | null {
  for (const { kind, name: pattern } of kinds) {
    const target = pattern.exec(name)?.[1]
    if (target !== undefined) return { kind, target }
  }
  return null
}

async function namesIn(dir: string): Promise<readonly string[]> {
  try {
    return (await readdir(dir)).filter(name => kindOf(name) !== null)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw error
  }
}

async function hashFile(path: string, sizeBytes: number, modifiedMs: number): Promise<Hashed> {
  const hasher = new Bun.CryptoHasher('sha256')
  for await (const chunk of Bun.file(path).stream()) hasher.update(chunk)
  return { sizeBytes, modifiedMs, sha256: hasher.digest('hex') }
}
