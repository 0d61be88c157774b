import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { childEnvironment, run } from './child.mjs'
import { fetchPackages, registryEnvironment } from './fetch-packages.mjs'
import { nativeWorkspaces, platform, unlockedPackages } from './platform.mjs'
import { helperFailed, isDiskFull } from './problem.mjs'
import { withProgress } from './progress.mjs'
import { pruneDeadWeight } from './dead-weight.mjs'

// --no-orphans: were we killed outright, an install that goes on by itself would meet the next start's.
const bunInstall = [
  '--no-orphans',
  'install',
  '--frozen-lockfile',
  '--ignore-scripts',
  '--no-progress',
]

const readJson = path => JSON.parse(readFileSync(path, 'utf8'))

/** What this machine needs installed: names that are the same from one start to the next. */
function neededParts(forTests) {
  return [
    'production',
    ...(forTests ? ['development'] : []),
    ...nativeWorkspaces().map(name => `native/${name}`),
    ...unlockedPackages(forTests).map(({ name }) => name),
  ]
}

/** Changes whenever an install might come out differently. */
function fingerprint(root) {
  const hash = createHash('sha256').update(`${platform}\n`)
  const manifests = readdirSync(join(root, 'native')).map(name =>
    join('native', name, 'package.json'),
  )
  for (const path of ['bun.lock', 'bunfig.toml', 'package.json', ...manifests.sort()])
    hash.update(`${path}\n`).update(readFileSync(join(root, path)))
  return hash.digest('hex')
}

const stampPath = root => join(root, 'node_modules', '.gpupool-installed.json')
/** Lies in node_modules while it is being written: what a killed install leaves half-linked looks whole to the next. */
const unfinishedPath = root => join(root, 'node_modules', '.gpupool-unfinished')

function readStamp(root) {
  try {
    const stamp = readJson(stampPath(root))
    return { fingerprint: stamp.fingerprint, parts: stamp.parts ?? [] }
  } catch {
    // None, or damaged: the same as not installed.
    return { fingerprint: '', parts: [] }
  }
}

function directDependencies({ root, project }, parts) {
  const natives = parts.filter(part => part.startsWith('native/'))
  return [project, ...natives.map(part => readJson(join(root, part, 'package.json')))].flatMap(
    manifest => Object.keys(manifest.dependencies ?? {}),
  )
}

/** Whether everything needed is installed; a few file look-ups, so that a ready checkout starts at once. */
export function dependenciesReady(want) {
  const { root, forTests } = want
  const stamp = readStamp(root)
  const parts = neededParts(forTests)
  return (
    stamp.fingerprint === fingerprint(root) &&
    parts.every(part => stamp.parts.includes(part)) &&
    directDependencies(want, parts).every(name =>
      existsSync(join(root, 'node_modules', name, 'package.json')),
    )
  )
}

async function installLocked({ root, project, bun, forTests, parts }) {
  const workspaces = parts
    .filter(part => part.startsWith('native/'))
    .map(part => readJson(join(root, part, 'package.json')).name)
  const filters = [project.name, ...workspaces].flatMap(name => ['--filter', name])
  const scope = forTests ? filters : ['--production', ...filters]
  const { code, output } = await run(bun, [...bunInstall, ...scope], {
    cwd: root,
    env: { ...childEnvironment(), ...(await registryEnvironment()) },
  })
  if (code === 0) return
  // Bun downloads everything before it links anything; only a full disk stops it in the middle of linking.
  if (!isDiskFull(output)) rmSync(unfinishedPath(root), { force: true })
  throw helperFailed('the dependencies could not be installed', output)
}

async function installUnlocked({ root, bun, forTests }) {
  const nodeModules = join(root, 'node_modules')
  const packages = unlockedPackages(forTests).map(({ parent, name }) => ({
    name,
    version: readJson(join(nodeModules, parent, 'package.json')).optionalDependencies?.[name],
  }))
  const missing = packages.filter(({ name }) => !existsSync(join(nodeModules, name)))
  if (missing.length === 0) return
  const wanted = missing.map(({ name, version }) => `${name}@${version}`)
  await fetchPackages({ root, packages: wanted, anyBun: bun }, fetched => {
    for (const { name } of missing) {
      mkdirSync(dirname(join(nodeModules, name)), { recursive: true })
      renameSync(join(fetched, name), join(nodeModules, name))
    }
  })
}

/**
 * Installs what `bun.lock` says and this machine can use, and no lifecycle script is run. Bun only ever adds, so what a
 * developer or an earlier `npm test` installed stays. Call under the lock.
 */
export async function ensureDependencies(want) {
  if (dependenciesReady(want)) return
  const { root, forTests } = want
  const parts = neededParts(forTests)
  const current = fingerprint(root)
  await withProgress('Installing dependencies', async () => {
    if (existsSync(unfinishedPath(root)))
      rmSync(join(root, 'node_modules'), { recursive: true, force: true })
    const before = readStamp(root)
    mkdirSync(join(root, 'node_modules'), { recursive: true })
    writeFileSync(unfinishedPath(root), '')
    await installLocked({ ...want, parts })
    await installUnlocked(want)
    pruneDeadWeight(join(root, 'node_modules'))
    const kept = before.fingerprint === current ? before.parts : []
    writeFileSync(
      stampPath(root),
      JSON.stringify({ fingerprint: current, parts: [...new Set([...kept, ...parts])] }),
    )
    rmSync(unfinishedPath(root))
  })
}
