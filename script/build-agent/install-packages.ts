import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { root } from './root.ts'

export type InstallRequest = {
  /** Folder of native/. */
  readonly workspace: string
  readonly os: string
  readonly cpu: string
}

/**
 * Installs the packages of one workspace, for any system, into a folder of its own: what is for another machine has no
 * place in the checkout's node_modules. Versions and hashes are those of bun.lock.
 * @returns the folder
 */
export async function installPackages({ workspace, os, cpu }: InstallRequest): Promise<string> {
  const dir = join(root, '.gpupool-bun', 'agent-build', workspace)
  const stamp = join(dir, 'installed')
  const wanted = fingerprint()
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return dir
  rmSync(dir, { recursive: true, force: true })
  mkdirSync(dir, { recursive: true })
  for (const path of manifests()) cpSync(join(root, path), join(dir, path), { recursive: true })
  const { name } = JSON.parse(readFileSync(join(dir, 'native', workspace, 'package.json'), 'utf8'))
  const flags = ['--frozen-lockfile', '--ignore-scripts', '--production', '--no-progress']
  const install = Bun.spawn(
    [process.execPath, 'install', ...flags, `--os=${os}`, `--cpu=${cpu}`, '--filter', name],
    { cwd: dir, stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' },
  )
  const [out, err] = await Promise.all([install.stdout.text(), install.stderr.text()])
  if ((await install.exited) !== 0)
    throw new Error(`the packages of ${name} could not be installed:\n${out}${err}`)
  writeFileSync(stamp, wanted)
  return dir
}

/** What an install depends on. */
const manifests = (): readonly string[] => [
  'package.json',
  'bun.lock',
  'bunfig.toml',
  ...['native', 'tools'].flatMap(folder =>
    readdirSync(join(root, folder)).map(name => `${folder}/${name}/package.json`),
  ),
]

function fingerprint(): string {
  const hasher = new Bun.CryptoHasher('sha256')
  for (const path of manifests())
    hasher.update(`${path}\n${readFileSync(join(root, path), 'utf8')}`)
  return hasher.digest('hex')
}
