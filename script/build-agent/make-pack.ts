import { basename } from 'node:path'
import { manifestName, type PackManifest } from '../../src/agent/executable/pack.ts'
import { tarEnd, tarHeader, tarPadding } from '../../src/agent/executable/tar.ts'
import type { PackFiles } from './collect-runtime.ts'

export type Pack = {
  /** A `.tar.zst`. */
  readonly archive: Uint8Array
  readonly manifestSha256: string
}

/**
 * Makes the archive that `src/agent/executable/pack.ts` unpacks. The same files give the same bytes.
 * @param level of zstd, 1 to 19
 */
export async function makePack(files: PackFiles, level: number): Promise<Pack> {
  // The CPU and Vulkan builds hold the same libraries: side by side, the second one costs next to nothing.
  const sorted = [...files].toSorted(
    ([a], [b]) => compare(basename(a), basename(b)) || compare(a, b),
  )
  const manifest: PackManifest = {
    files: sorted.map(([path, bytes]) => ({
      path,
      sizeBytes: bytes.length,
      sha256: sha256Hex(bytes),
    })),
  }
  const manifestBytes = Buffer.from(`${JSON.stringify(manifest)}\n`)
  const parts: Uint8Array[] = []
  for (const [path, bytes] of [[manifestName, manifestBytes] as const, ...sorted])
    parts.push(tarHeader(path, bytes.length), bytes, tarPadding(bytes.length))
  const tar = Buffer.concat([...parts, tarEnd()])
  return {
    archive: await Bun.zstdCompress(tar, { level }),
    manifestSha256: sha256Hex(manifestBytes),
  }
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

export const sha256Hex = (bytes: Uint8Array): string =>
  new Bun.CryptoHasher('sha256').update(bytes).digest('hex')
