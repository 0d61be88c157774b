import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { CudaPin } from '../../src/agent/executable/build-facts.ts'
import { libraryLicenses, licensesName } from './collect-licenses.ts'
import { collectLibraries } from './collect-runtime.ts'
import { installPackages } from './install-packages.ts'
import { makePack, sha256Hex } from './make-pack.ts'
import type { Target } from './targets.ts'

const pinPath = (outDir: string, target: Target) => join(outDir, `cuda-${target.name}.json`)

/** Makes the archive of CUDA libraries that agents fetch, and the pin that executables built from now on carry. */
export async function buildCudaPack(
  target: Target,
  outDir: string,
  level: number,
): Promise<CudaPin> {
  const { cudaWorkspace, name, os, cpu } = target
  if (cudaWorkspace === null) throw new Error(`there are no CUDA libraries for ${name} yet`)
  const dir = await installPackages({ workspace: cudaWorkspace, os, cpu })
  const manifest = JSON.parse(
    readFileSync(join(dir, 'native', cudaWorkspace, 'package.json'), 'utf8'),
  )
  const [version] = Object.values(manifest.dependencies)
  const files = collectLibraries(dir)
  const licenses = Buffer.from(libraryLicenses(files))
  const { archive, manifestSha256 } = await makePack(
    new Map([...files, [licensesName, licenses]]),
    level,
  )
  const fileName = `runtime-${name}-cuda-${String(version)}.tar.zst`
  mkdirSync(outDir, { recursive: true })
  writeAtomically(join(outDir, fileName), archive)
  const pin = { fileName, sizeBytes: archive.length, sha256: sha256Hex(archive), manifestSha256 }
  writeAtomically(pinPath(outDir, target), `${JSON.stringify(pin, null, 2)}\n`)
  return pin
}

/** The pin of the archive in the folder; null when none was built there. */
export function readCudaPin(target: Target, outDir: string): CudaPin | null {
  const path = pinPath(outDir, target)
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : null
}

/** A server may be offering the folder meanwhile. */
function writeAtomically(path: string, data: Uint8Array | string): void {
  writeFileSync(`${path}.new`, data)
  renameSync(`${path}.new`, path)
}
