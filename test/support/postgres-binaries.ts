import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

/** A folder with `initdb` and `postgres` in it, or why there is none. */
export type PostgresBinaries = { readonly folder: string } | { readonly missing: string }

const debianRoot = '/usr/lib/postgresql'

/** Looks on the PATH and where Debian keeps them; installs Debian's package where that is possible. */
export function findPostgresBinaries(): PostgresBinaries {
  const found = locate()
  if (found !== undefined) return { folder: found }
  const why = installOnDebian()
  if (why !== undefined) return { missing: why }
  const installed = locate()
  return installed === undefined
    ? { missing: 'the package postgresql brought no initdb' }
    : { folder: installed }
}

function locate(): string | undefined {
  const versions = existsSync(debianRoot) ? readdirSync(debianRoot) : []
  const newestFirst = versions.toSorted((a, b) => Number(b) - Number(a))
  const folders = [
    ...newestFirst.map(version => join(debianRoot, version, 'bin')),
    ...(process.env['PATH'] ?? '').split(':'),
  ]
  return folders.find(folder =>
    ['initdb', 'postgres'].every(program => existsSync(join(folder, program))),
  )
}

/** @returns why it could not be installed, undefined when it was */
function installOnDebian(): string | undefined {
  if (process.getuid?.() !== 0) return 'no PostgreSQL here, and only root may install it'
  if (Bun.which('apt-get') === null) return 'no PostgreSQL here, and no apt-get to install it with'
  process.stderr.write("installing Debian's package postgresql for the tests\n")
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  // The tests want the programs alone: without this setting the package makes and starts a cluster of its own.
  const script = `
    set -e
    apt-get update -q
    mkdir -p /etc/postgresql-common/createcluster.d
    echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.d/gpupool-tests.conf
    apt-get install -q -y --no-install-recommends postgresql`
  const { exitCode, stderr } = Bun.spawnSync(['sh', '-c', script], { env, stdout: 'ignore' })
  return exitCode === 0 ? undefined : `apt-get failed: ${stderr.toString().trim()}`
}
