import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { BuildFacts, CudaPin } from '../../src/agent/executable/build-facts.ts'
import { executableLicenses, licensesName } from './collect-licenses.ts'
import { collectRuntime } from './collect-runtime.ts'
import { installPackages } from './install-packages.ts'
import { makePack } from './make-pack.ts'
import { root } from './root.ts'
import { stripSignature } from './strip-signature.ts'
import type { Target } from './targets.ts'

export type CompileRequest = {
  readonly target: Target
  readonly outDir: string
  /** Of zstd, 1 to 19: 19 takes a minute and gives the smallest file. */
  readonly level: number
  readonly cuda: CudaPin | null
}

export type CompiledAgent = { readonly path: string; readonly facts: BuildFacts }

/** Makes the agent's executable for one target, on any machine. */
export async function compileAgent(request: CompileRequest): Promise<CompiledAgent> {
  const { target, outDir, level, cuda } = request
  const workspace = `agent-${target.name}`
  const dir = await installPackages({ workspace, os: target.os, cpu: target.cpu })
  const runtime = await collectRuntime(dir, workspace)
  const licenses = await executableLicenses(runtime)
  const pack = await makePack(runtime, level)
  const facts: BuildFacts = {
    target: target.name,
    commit: gitCommit(),
    engineVersion: versionOf(
      Bun.resolveSync('node-llama-cpp/package.json', join(dir, 'native', workspace)),
    ),
    runtimeManifestSha256: pack.manifestSha256,
    cuda,
  }
  mkdirSync(outDir, { recursive: true })
  const archivePath = join(outDir, `.runtime-${target.name}.${process.pid}.tar.zst`)
  const licensesPath = join(outDir, `.${licensesName}-${target.name}.${process.pid}.txt`)
  const path = join(outDir, target.fileName)
  try {
    writeFileSync(archivePath, pack.archive)
    writeFileSync(licensesPath, licenses)
    await Bun.build({
      entrypoints: [join(root, 'src', 'agent', 'executable', 'main.ts'), archivePath, licensesPath],
      loader: { '.zst': 'file', '.txt': 'file' },
      define: { gpupoolBuildFacts: JSON.stringify(facts) },
      minify: { whitespace: true, syntax: true, identifiers: false },
      compile: {
        target: target.bunTarget,
        // Bun would download it by itself, unpinned; this one was checked against bun.lock.
        executablePath: join(dir, 'node_modules', target.bunPackage, target.bunFile),
        outfile: path,
        // A stranger's folder must not configure the agent that is started in it.
        autoloadDotenv: false,
        autoloadBunfig: false,
        autoloadTsconfig: false,
        autoloadPackageJson: false,
      },
    })
  } finally {
    for (const path of [archivePath, licensesPath]) rmSync(path, { force: true })
  }
  if (target.name === 'darwin-x64') writeFileSync(path, stripSignature(readFileSync(path)))
  return { path, facts }
}

const versionOf = (packageJson: string): string =>
  JSON.parse(readFileSync(packageJson, 'utf8')).version

/** `+` says that the sources were changed since the commit. */
function gitCommit(): string | null {
  const git = (...args: string[]) =>
    Bun.spawnSync(['git', ...args], { cwd: root, stdin: 'ignore', stderr: 'ignore' })
  try {
    const commit = git('rev-parse', '--short=12', 'HEAD')
    if (commit.exitCode !== 0) return null
    const changed = git('status', '--porcelain', '--untracked-files=no').stdout.length > 0
    return `${commit.stdout.toString().trim()}${changed ? '+' : ''}`
  } catch {
    // There is no git here.
    return null
  }
}
