import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { link, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Usage of the operator's own key is booked under this id. No client key can have it: theirs are 8 characters long. */
export const adminKeyId = 'admin'

export const adminKeyPath = (dataDir: string): string => join(dataDir, 'admin.key')

/**
 * The operator's key: the configured one, else the one in `<dataDir>/admin.key`, which is made at first start with
 * mode 0600. A file that others can read is refused, since whoever read it owns the pool.
 * @returns the key, or a text for the operator that says what is wrong with the file
 */
export async function loadAdminKey(
  dataDir: string,
  configured: string | null,
): Promise<{ readonly key: string } | string> {
  if (configured !== null) return { key: configured }
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  const path = adminKeyPath(dataDir)
  if (!existsSync(path)) await makeAdminKey(path)
  return await readAdminKey(path)
}

/**
 * The key appears whole or not at all, whatever happens meanwhile; of two servers that start at once one wins, and both
 * then read its key.
 */
async function makeAdminKey(path: string): Promise<void> {
  const draft = `${path}.${crypto.randomUUID()}`
  const key = `gpadmin_${randomBytes(32).toString('base64url')}`
  try {
    await writeFile(draft, `${key}\n`, { mode: 0o600, flush: true })
    await link(draft, path)
  } catch (error) {
    if (!isAlreadyThere(error)) throw error
  } finally {
    await rm(draft, { force: true })
  }
}

async function readAdminKey(path: string): Promise<{ readonly key: string } | string> {
  const { mode } = await stat(path)
  if (process.platform !== 'win32' && (mode & 0o077) !== 0)
    return `${path} can be read by other users; run: chmod 600 ${path}`
  const key = (await readFile(path, 'utf8')).trim()
  if (key.length < adminKeyCharactersMin)
    return `${path} holds no key; delete it and start again, and a new one is made`
  return { key }
}

/** A shorter one could be guessed. */
export const adminKeyCharactersMin = 20

const isAlreadyThere = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === 'EEXIST'
