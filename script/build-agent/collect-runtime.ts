import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { createRequire, isBuiltin } from 'node:module'
import { dirname, isAbsolute, join, relative, sep } from 'node:path'
import { packageFolder } from './package-folder.ts'
import { licenseFile } from './package-license.ts'
import { root } from './root.ts'

/** Path in the pack and the file's bytes. */
export type PackFiles = ReadonlyMap<string, Uint8Array>

/** What node-llama-cpp reads beside its modules. */
const engineData: readonly string[] = [
  'llama/binariesGithubRelease.json',
  'llama/llama.cpp.info.json',
]
/** In packages of native libraries, what is of no use at run time; `.exp` and `.lib` are what a linker on Windows reads. */
const deadWeight = /(?:^|\/)(?:README\.md|.*\.d\.ts|.*\.map|.*\.exp|.*\.lib)$/

/**
 * Everything that the worker needs at run time and nothing else: the worker in one file, the modules of node-llama-cpp
 * and its dependencies that can be reached from its entry, their licences, and the native libraries.
 * @param dir an installed folder, see install-packages.ts
 */
export async function collectRuntime(dir: string, workspace: string): Promise<PackFiles> {
  const files = new Map<string, Uint8Array>()
  files.set('worker/main.js', await bundleWorker())
  const modules = reachableModules(
    Bun.resolveSync('node-llama-cpp', join(dir, 'native', workspace)),
  )
  for (const path of modules) add(files, dir, path)
  const packages = new Set(modules.map(packageOf))
  for (const folder of packages)
    for (const name of readdirSync(folder))
      if (name === 'package.json' || licenseFile.test(name)) add(files, dir, join(folder, name))
  const engine = [...packages].find(folder =>
    folder.endsWith(join('node_modules', 'node-llama-cpp')),
  )
  if (engine === undefined) throw new Error('node-llama-cpp is not among its own modules')
  for (const path of engineData) add(files, dir, join(engine, path))
  addLibraries(files, dir)
  return files
}

/** The packages of native libraries alone. */
export function collectLibraries(dir: string): PackFiles {
  const files = new Map<string, Uint8Array>()
  addLibraries(files, dir)
  return files
}

async function bundleWorker(): Promise<Uint8Array> {
  const built = await Bun.build({
    entrypoints: [join(root, 'src', 'agent', 'worker', 'main.ts')],
    target: 'bun',
    external: ['node-llama-cpp'],
  })
  const [output] = built.outputs
  if (output === undefined) throw new Error('the worker was not bundled')
  return new Uint8Array(await output.arrayBuffer())
}

/**
 * Absolute paths of all modules that an entry can reach. (The list that Bun's bundler makes lacks modules that only pass
 * on another one, since it looks through them; at run time they are needed.)
 */
function reachableModules(entry: string): readonly string[] {
  const reached = new Set([entry])
  for (const path of reached) {
    if (!/\.[cm]?js$/.test(path)) continue
    for (const wanted of importsOf(readFileSync(path, 'utf8')))
      for (const found of resolutions(wanted, path)) reached.add(found)
  }
  return [...reached]
}

/** Bun's scanner sees no `require` in CommonJS; a pattern that takes one too many does no harm. */
function importsOf(source: string): readonly string[] {
  const imports = new Bun.Transpiler({ loader: 'js' }).scanImports(source).map(({ path }) => path)
  const requires = [...source.matchAll(/\brequire\(\s*(['"])([^'"]+)\1\s*\)/g)]
  return [...imports, ...requires.flatMap(([, , path]) => path ?? [])]
}

/** The files that an import and a require of a name give; they may differ, and both kinds may come. */
function resolutions(wanted: string, from: string): readonly string[] {
  // The platform packages are added whole; for the rest of what is missing, its importer has a plan of its own.
  if (isBuiltin(wanted) || wanted.startsWith('@node-llama-cpp/')) return []
  const found = new Set<string>()
  for (const resolve of [
    () => Bun.resolveSync(wanted, dirname(from)),
    () => createRequire(from).resolve(wanted),
  ]) {
    try {
      found.add(resolve())
    } catch (error) {
      if (!(error instanceof Error && 'code' in error)) throw error
    }
  }
  return [...found].filter(isAbsolute)
}

function addLibraries(files: Map<string, Uint8Array>, dir: string): void {
  const scope = join(dir, 'node_modules', '@node-llama-cpp')
  for (const path of readdirSync(scope, { recursive: true, encoding: 'utf8' }).toSorted()) {
    const name = path.replaceAll(sep, '/')
    const isFile = readdirSync(join(scope, path, '..'), { withFileTypes: true }).some(
      entry => entry.isFile() && path.endsWith(entry.name),
    )
    if (isFile && !deadWeight.test(name)) add(files, dir, join(scope, path))
  }
}

/** Puts a file where it lies from the nearest node_modules on; a workspace's own and the shared one become one. */
function add(files: Map<string, Uint8Array>, dir: string, path: string): void {
  const inside = relative(dir, path).replaceAll(sep, '/')
  const at = inside.indexOf('node_modules/')
  if (inside.startsWith('..') || at === -1) throw new Error(`${path} is in no package`)
  const bytes = readFileSync(path)
  const name = inside.slice(at)
  const before = files.get(name)
  if (before !== undefined && !bytes.equals(before))
    throw new Error(`two packages want to be ${name}; their versions differ`)
  files.set(name, bytes)
}

/** The folder of the package that a module belongs to. */
function packageOf(path: string): string {
  const folder = packageFolder(path, sep)
  if (folder === null || !existsSync(join(folder, 'package.json')))
    throw new Error(`${path} is in no package`)
  return folder
}
