import { existsSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Writes the next migration into `drizzle/` after an edit of `src/server/store/schema.ts`:
 * `bun run db:generate --name what_changed`. drizzle-kit is a workspace of its own, so that only whoever changes a table
 * installs it.
 */
const root = join(import.meta.dir, '..', '..')
const drizzleKit = join(root, 'node_modules', 'drizzle-kit', 'bin.cjs')

async function run(...command: readonly string[]): Promise<void> {
  const child = Bun.spawn([process.execPath, ...command], {
    cwd: root,
    stdio: ['inherit', 'inherit', 'inherit'],
  })
  const exitCode = await child.exited
  if (exitCode !== 0) process.exit(exitCode)
}

if (!existsSync(drizzleKit)) {
  // Adds to what is installed and takes nothing away, whichever workspaces that was.
  const workspace = '@gpupool/tool-migrations'
  await run('install', '--frozen-lockfile', '--ignore-scripts', '--filter', workspace)
}
await run(drizzleKit, 'generate', ...process.argv.slice(2))
