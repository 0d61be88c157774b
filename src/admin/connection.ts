import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'

/** Where the server is and how to prove that we may administer it. */
export type Connection = { readonly url: string; readonly key: string }

type Environment = Readonly<Record<string, string | undefined>>

/**
 * From `GPUPOOL_URL` and `GPUPOOL_ADMIN_KEY`, and what of them is unset from the files that the server keeps in its
 * data directory, so that on the server's machine nothing has to be set at all.
 */
export async function findConnection(
  env: Environment,
): Promise<Connection | { readonly problem: string }> {
  const dataDir = resolve(env['GPUPOOL_DATA_DIR'] || '.gpupool')
  const url =
    env['GPUPOOL_URL'] || (await readLine(join(dataDir, 'api.url'))) || 'http://127.0.0.1:8080'
  const key = env['GPUPOOL_ADMIN_KEY'] || (await readLine(join(dataDir, 'admin.key')))
  if (URL.parse(url) === null) return { problem: `GPUPOOL_URL is '${url}', which is not a URL` }
  if (!key)
    return {
      problem:
        `there is no admin key: ${join(dataDir, 'admin.key')} does not exist. ` +
        'Run this where the server runs, or set GPUPOOL_DATA_DIR, or set GPUPOOL_URL and GPUPOOL_ADMIN_KEY',
    }
  return { url: url.replace(/\/+$/, ''), key }
}

async function readLine(path: string): Promise<string | null> {
  try {
    return (await readFile(path, 'utf8')).trim()
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
}
