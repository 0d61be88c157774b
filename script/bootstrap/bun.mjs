import { spawnSync } from 'node:child_process'
import { existsSync, realpathSync, renameSync, rmSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fetchPackages } from './fetch-packages.mjs'
import { privateFolder } from './install-lock.mjs'
import { bunPackage, platform } from './platform.mjs'
import { Problem } from './problem.mjs'
import { withProgress } from './progress.mjs'

const executable = process.platform === 'win32' ? 'bun.exe' : 'bun'

/** What `bun --version` prints; undefined when it does not run, being damaged or for another kind of machine. */
function versionOf(path) {
  const { status, stdout } = spawnSync(path, ['--version'], {
    encoding: 'utf8',
    timeout: 20_000,
    windowsHide: true,
  })
  return status === 0 ? stdout.trim() : undefined
}

const bunsOnPath = () =>
  (process.env.PATH ?? '')
    .split(delimiter)
    .filter(folder => folder !== '')
    .map(folder => join(folder, executable))
    .filter(existsSync)

const privateBunFolder = ({ root, project }) =>
  join(privateFolder(root), `bun-${project.engines.bun}-${platform}`)

/** The pinned Bun, if it is here: the one that runs this, the first on the PATH, or our private copy. */
export function findBun(want) {
  const pinned = want.project.engines.bun
  if (process.versions.bun === pinned) return realpathSync(process.execPath)
  const [first] = bunsOnPath()
  if (first !== undefined && versionOf(first) === pinned) return first
  const own = join(privateBunFolder(want), executable)
  return existsSync(own) && versionOf(own) === pinned ? own : undefined
}

/** The pinned Bun, fetched from the npm registry into `.gpupool-bun` where there is none. Call under the lock. */
export async function ensureBun(want) {
  const found = findBun(want)
  if (found !== undefined) return found
  const pinned = want.project.engines.bun
  const name = bunPackage()
  if (name === undefined) throw new Problem(`there is no Bun for ${platform}.`)
  const folder = privateBunFolder(want)
  const anyBun = process.versions.bun ? realpathSync(process.execPath) : bunsOnPath()[0]
  await withProgress(`Fetching Bun ${pinned}`, () =>
    fetchPackages({ root: want.root, packages: [`${name}@${pinned}`], anyBun }, nodeModules => {
      // What is there does not run or has another version; the new one arrives whole, by one rename.
      rmSync(folder, { recursive: true, force: true })
      renameSync(join(nodeModules, ...name.split('/'), 'bin'), folder)
    }),
  )
  const fetched = join(folder, executable)
  if (versionOf(fetched) !== pinned)
    throw new Problem(`${name}@${pinned} does not run on this machine (${platform}).`)
  return fetched
}
