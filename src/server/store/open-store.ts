import { openPgliteStore } from './pglite-store.ts'
import { openPostgresStore } from './postgres-store.ts'
import type { OpenedStore } from './store-refusal.ts'

/** PostgreSQL when `databaseUrl` is given, else the embedded database in `dataDir`. */
export const openStore = (settings: {
  readonly databaseUrl: string | null
  readonly dataDir: string
}): Promise<OpenedStore> =>
  settings.databaseUrl === null
    ? openPgliteStore(settings.dataDir)
    : openPostgresStore(settings.databaseUrl)
