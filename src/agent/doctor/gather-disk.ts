import { access, constants, readdir, rm, stat, statfs, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import type { CatalogueAnswer } from '../../protocol/catalogue.ts'
import { explainFileError, modelsDirOf } from '../state-dir.ts'
import { diskMinBytes, type DiskPlace } from './check-disk.ts'

/** Without a catalogue: a common 8B model at 4 to 5 bits, and room that a download leaves. */
export const modelRoomBytes = 6 * 1024 ** 3
/** The unpacked engine has 106 MB; while it is replaced there are two. */
const engineRoomBytes = 300 * 1024 ** 2
/** The CUDA libraries: the archive and what comes out of it. */
const cudaRoomBytes = 1024 ** 3

export type DiskQuestion = {
  readonly stateDir: string
  /** Where the executable unpacks; null in a checkout. */
  readonly cacheDir: string | null
  readonly wantsCuda: boolean
  readonly catalogue: CatalogueAnswer | null
}

export async function gatherDisk(question: DiskQuestion): Promise<readonly DiskPlace[]> {
  const { stateDir, cacheDir, wantsCuda, catalogue } = question
  const held = await readdir(modelsDirOf(stateDir)).catch((): string[] => [])
  const places = [
    {
      what: 'models' as const,
      path: modelsDirOf(stateDir),
      ...roomForModels(catalogue, new Set(held)),
    },
  ]
  const cache = {
    what: 'cache' as const,
    path: cacheDir ?? '',
    neededBytes: wantsCuda ? cudaRoomBytes : engineRoomBytes,
    neededFor: wantsCuda ? 'the engine with its CUDA libraries' : 'the engine',
  }
  return await Promise.all([...places, ...(cacheDir === null ? [] : [cache])].map(withState))
}

/** The largest model of the pool that is not here yet. */
export function roomForModels(
  catalogue: CatalogueAnswer | null,
  held: ReadonlySet<string>,
): Pick<DiskPlace, 'neededBytes' | 'neededFor'> {
  if (catalogue === null) return { neededBytes: modelRoomBytes, neededFor: 'an 8B model' }
  const missing = catalogue.models
    .map(({ manifest }) => manifest)
    .filter(manifest => !held.has(`${manifest.sha256}.gguf`))
    .toSorted((a, b) => b.sizeBytes - a.sizeBytes)
  const [largest] = missing
  return largest === undefined
    ? { neededBytes: diskMinBytes, neededFor: 'the agent itself' }
    : {
        neededBytes: largest.sizeBytes + diskMinBytes,
        neededFor: `the pool's largest model that is not here (${largest.name})`,
      }
}

async function withState(
  place: Pick<DiskPlace, 'what' | 'path' | 'neededBytes' | 'neededFor'>,
): Promise<DiskPlace> {
  const path = resolve(place.path)
  try {
    const dir = await nearestDirectory(path)
    // A folder that is there is really written to: rights, quotas and read-only file systems all show then.
    if (dir === path) await tryToWrite(dir)
    else await access(dir, constants.W_OK)
    const { bavail, bsize } = await statfs(dir)
    return { ...place, path, obstacle: null, freeBytes: bavail * bsize }
  } catch (error) {
    return { ...place, path, obstacle: explainFileError(error), freeBytes: null }
  }
}

/** The folder, or the nearest above it that is there and can hold it. */
async function nearestDirectory(path: string): Promise<string> {
  const facts = await stat(path).catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  })
  if (facts?.isDirectory() === true) return path
  if (facts !== null) throw new Error(`${path} is no folder`)
  return await nearestDirectory(dirname(path))
}

async function tryToWrite(dir: string): Promise<void> {
  const probe = join(dir, `.doctor-${process.pid}`)
  try {
    await writeFile(probe, 'x'.repeat(4096))
  } finally {
    await rm(probe, { force: true })
  }
}
