import { join, resolve, sep } from 'node:path'
import packageJson from '../../package.json' with { type: 'json' }
import type { PackFiles } from './collect-runtime.ts'
import { formatLicenses } from './format-licenses.ts'
import { bunLicense, llamaCppLicense, ownLicense } from './known-licenses.ts'
import { packageFolder } from './package-folder.ts'
import { filesOfPackage, packageLicense, type PackageLicense } from './package-license.ts'
import { root } from './root.ts'

/** Name of the text where it lies as a file. */
export const licensesName = 'THIRD-PARTY-LICENSES'

/**
 * The licences of everything that travels in an executable: gpupool, Bun, the JavaScript that is bundled into the agent and
 * the worker, and what is in the runtime pack.
 * @throws Error when a package carries no licence text and none is known
 */
export async function executableLicenses(runtime: PackFiles): Promise<string> {
  const bundled = await Promise.all([
    bundledPackages(join(root, 'src', 'agent', 'executable', 'main.ts')),
    bundledPackages(join(root, 'src', 'agent', 'worker', 'main.ts')),
  ])
  const folders = new Set(bundled.flat())
  return formatLicenses('gpupool-agent is gpupool with the software listed here.', [
    ownPart(),
    { name: 'Bun', version: Bun.version, ...bunLicense() },
    llamaCppPart(runtime),
    ...[...folders].map(folder => packageLicense(filesOfPackage(folder))),
    ...packLicenses(runtime),
  ])
}

/** The licences of a pack of native libraries alone. */
export const libraryLicenses = (files: PackFiles): string =>
  formatLicenses('Native libraries of node-llama-cpp, for gpupool-agent.', [
    llamaCppPart(files),
    ...packLicenses(files),
  ])

const ownPart = (): PackageLicense => ({
  name: 'gpupool',
  version: packageJson.version,
  license: packageJson.license,
  text: ownLicense(),
})

/** Every package of native libraries says what it was built of. */
function llamaCppPart(files: PackFiles): PackageLicense {
  const [, metadata] = [...files].find(([path]) => path.endsWith('/_nlcBuildMetadata.json')) ?? []
  if (metadata === undefined)
    throw new Error('the native libraries do not say what they are built of')
  const version = String(JSON.parse(Buffer.from(metadata).toString()).buildOptions.llamaCpp.release)
  return { name: 'llama.cpp', version, ...llamaCppLicense() }
}

/** The packages whose files are in a pack. */
export function packLicenses(pack: PackFiles): readonly PackageLicense[] {
  const packages = new Map<string, Map<string, Uint8Array>>()
  for (const [path, bytes] of pack) {
    const folder = packageFolder(path, '/')
    if (folder === null) continue
    const files = packages.get(folder) ?? new Map<string, Uint8Array>()
    const name = path.slice(folder.length + 1)
    if (!name.includes('/')) files.set(name, bytes)
    packages.set(folder, files)
  }
  return [...packages.values()].map(files => packageLicense(files))
}

/** Folders of the packages of which something is bundled for an entry. */
async function bundledPackages(entry: string): Promise<readonly string[]> {
  const { metafile } = await Bun.build({
    entrypoints: [entry],
    root,
    target: 'bun',
    external: ['node-llama-cpp'],
    metafile: true,
  })
  if (metafile === undefined) throw new Error(`Bun tells nothing about the bundle of ${entry}`)
  const paths = Object.keys(metafile.inputs).map(path => resolve(path))
  return [...new Set(paths.flatMap(path => packageFolder(path, sep) ?? []))]
}
