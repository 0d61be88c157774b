import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { isAlive, privateFolder } from './install-lock.mjs'
import { run } from './child.mjs'
import { helperFailed, Problem } from './problem.mjs'

// npm's own pauses between retries make an offline start wait for over a minute before it says why.
const npmInstall = [
  'install',
  '--fetch-retry-mintimeout=1000',
  '--fetch-retry-maxtimeout=4000',
  '--ignore-scripts',
  '--no-save',
  '--no-package-lock',
  '--no-audit',
  '--no-fund',
  '--loglevel=error',
]

const unfinished = /^unfinished-(\d+)$/

/** What earlier starts left when they were killed in the middle of a download. */
function sweep(folder) {
  for (const name of readdirSync(folder)) {
    const owner = unfinished.exec(name)?.[1]
    if (owner !== undefined && !isAlive(Number(owner)))
      rmSync(join(folder, name), { recursive: true, force: true })
  }
}

/** npm as we were started by it, else as the PATH has it; undefined where there is none. */
async function findNpm() {
  const cli = process.env.npm_execpath
  if (
    cli !== undefined &&
    basename(cli) === 'npm-cli.js' &&
    existsSync(cli) &&
    !process.versions.bun
  )
    return { command: process.execPath, args: [cli], shell: false }
  // On Windows npm is a .cmd file, which only a shell can start.
  const shell = process.platform === 'win32'
  try {
    const { code } = await run('npm', ['--version'], { shell })
    return code === 0 ? { command: 'npm', args: [], shell } : undefined
  } catch (error) {
    if (error.code === 'ENOENT') return undefined
    throw error
  }
}

/** The registry that npm is configured for, where Bun would not see it by itself (a global npmrc, for example). */
export async function registryEnvironment() {
  const npm = await findNpm()
  if (npm === undefined || process.env.npm_config_registry !== undefined) return {}
  const { code, output } = await run(npm.command, [...npm.args, 'config', 'get', 'registry'], {
    shell: npm.shell,
  })
  const registry = output.split('\n').find(line => /^https?:\/\/\S+$/.test(line.trim()))
  return code === 0 && registry !== undefined ? { npm_config_registry: registry.trim() } : {}
}

/**
 * Downloads packages (`name@version`) without running any of their scripts, with npm, else with the given Bun (any
 * version), into a folder of their own; `use` gets that folder's node_modules and moves out what it wants.
 */
export async function fetchPackages({ root, packages, anyBun }, use) {
  const folder = join(privateFolder(root), `unfinished-${process.pid}`)
  sweep(privateFolder(root))
  rmSync(folder, { recursive: true, force: true })
  try {
    mkdirSync(folder, { recursive: true })
    // A package.json of its own keeps both package managers from looking at ours, further up.
    writeFileSync(join(folder, 'package.json'), '{"private":true}\n')
    const npm = await findNpm()
    if (npm === undefined && anyBun === undefined)
      throw new Problem(
        'neither npm nor Bun is on the PATH. Install Node with npm (20 or later), or Bun, and start again.',
      )
    const { code, output } = npm
      ? await run(npm.command, [...npm.args, ...npmInstall, '--prefix', folder, ...packages], {
          cwd: folder,
          shell: npm.shell,
        })
      : await run(anyBun, ['add', '--exact', '--ignore-scripts', ...packages], { cwd: folder })
    if (code !== 0) throw helperFailed(`${packages.join(', ')} could not be fetched`, output)
    return await use(join(folder, 'node_modules'))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
