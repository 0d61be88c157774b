import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createZstdDecompress } from 'node:zlib'
import { Type, type Static } from 'typebox'
import { Compile } from 'typebox/compile'
import { TarReader, type TarSink } from './tar.ts'

/*
 * A pack is a `.tar.zst` of files that have to lie on disk: the worker, node-llama-cpp and its native libraries. Its
 * first file is `manifest.json`, which lists all others with size and SHA-256. Whoever knows the hash of the manifest
 * can thus tell a good unpacked folder from any other, without the archive.
 */

const ManifestSchema = Type.Object({
  files: Type.Array(
    Type.Object({
      /** With `/`, relative to the pack's folder. */
      path: Type.String({ pattern: '^(?!/)(?!.*(?:^|/)\\.\\.(?:/|$))[^\\\\:\\0]+$' }),
      sizeBytes: Type.Integer({ minimum: 0 }),
      sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
    }),
    { maxItems: 20_000 },
  ),
})
export type PackManifest = Static<typeof ManifestSchema>
const manifestCheck = Compile(ManifestSchema)

export const manifestName = 'manifest.json'
/** Files hashed at a time: the hashing runs on other threads, the bytes of all of them are in memory meanwhile. */
const hashedAtOnceMax = 8

/** Whether a folder holds exactly what it should, by hash; files that do not belong to the pack are not looked for. */
export async function verifyPack(
  dir: string,
  manifestSha256: string,
): Promise<'good' | 'absent' | 'damaged'> {
  const manifest = await readManifest(dir, manifestSha256)
  if (typeof manifest === 'string') return manifest
  const waiting = [...manifest.files]
  const checkAll = async (): Promise<boolean> => {
    for (let file = waiting.pop(); file !== undefined; file = waiting.pop())
      if (!(await isIntact(join(dir, file.path), file))) return false
    return true
  }
  const outcomes = await Promise.all(Array.from({ length: hashedAtOnceMax }, checkAll))
  return outcomes.every(Boolean) ? 'good' : 'damaged'
}

async function readManifest(
  dir: string,
  manifestSha256: string,
): Promise<PackManifest | 'absent' | 'damaged'> {
  let bytes: Uint8Array<ArrayBuffer>
  try {
    bytes = new Uint8Array(await readFile(join(dir, manifestName)))
  } catch {
    const there = await stat(dir).then(
      () => true,
      () => false,
    )
    return there ? 'damaged' : 'absent'
  }
  if ((await sha256Hex(bytes)) !== manifestSha256) return 'damaged'
  const manifest: unknown = JSON.parse(new TextDecoder().decode(bytes))
  return manifestCheck.Check(manifest) ? manifest : 'damaged'
}

async function isIntact(
  path: string,
  { sizeBytes, sha256 }: PackManifest['files'][number],
): Promise<boolean> {
  try {
    const bytes = new Uint8Array(await readFile(path))
    return bytes.length === sizeBytes && (await sha256Hex(bytes)) === sha256
  } catch {
    // Gone, or not to be read: both are for the caller to repair.
    return false
  }
}

/** On another thread, unlike Bun.CryptoHasher. */
const sha256Hex = async (bytes: Uint8Array<ArrayBuffer>): Promise<string> =>
  Buffer.from(await crypto.subtle.digest('SHA-256', bytes)).toString('hex')

/**
 * Unpacks into an empty folder.
 * @throws Node's error when the disk does not take it; Error when the archive is damaged
 */
export async function unpack(archive: AsyncIterable<Uint8Array>, dir: string): Promise<void> {
  const sink = new FolderSink(dir)
  const reader = new TarReader(sink)
  try {
    await pipeline(archive, createZstdDecompress(), async (plain: AsyncIterable<Uint8Array>) => {
      for await (const bytes of plain) reader.push(bytes)
    })
    if (!reader.ended) throw new Error('the archive is cut off')
  } finally {
    sink.close()
  }
}

/** Writes the files of an archive below a folder. */
class FolderSink implements TarSink {
  readonly #dir: string
  readonly #made = new Set<string>()
  #file: number | null = null

  constructor(dir: string) {
    this.#dir = dir
  }

  begin(path: string): void {
    if (path.startsWith('/') || path.split('/').includes('..') || path.includes('\\'))
      throw new Error(`the archive names a file outside of it: ${path}`)
    const full = join(this.#dir, path)
    const folder = dirname(full)
    if (!this.#made.has(folder)) mkdirSync(folder, { recursive: true, mode: 0o700 })
    this.#made.add(folder)
    this.#file = openSync(full, 'wx', 0o600)
  }

  write(bytes: Uint8Array): void {
    let written = 0
    while (this.#file !== null && written < bytes.length)
      written += writeSync(this.#file, bytes, written)
  }

  end(): void {
    this.close()
  }

  close(): void {
    if (this.#file !== null) closeSync(this.#file)
    this.#file = null
  }
}
