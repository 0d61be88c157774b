import { join } from 'node:path'
import { desc, sql } from 'drizzle-orm'
import { readMigrationFiles } from 'drizzle-orm/migrator'
import { bigint, pgSchema, serial, text } from 'drizzle-orm/pg-core'
import type { StoreDatabase } from './database.ts'

/** Any number that nobody else takes; servers that start at the same time queue behind it. */
const migrationLockKey = 7_305_808_869_229_538

/** Where drizzle's own tools look for what was applied, so that they can be used on a database of ours. */
const bookSchema = pgSchema('drizzle')
const book = bookSchema.table('__drizzle_migrations', {
  id: serial('id').primaryKey(),
  hash: text('hash').notNull(),
  createdAt: bigint('created_at', { mode: 'number' }),
})

/** The one place that knows where the generated migrations lie. */
export const migrationsFolder = (): string => join(import.meta.dir, '..', '..', '..', 'drizzle')

/**
 * Brings the schema up to this build, all or nothing, in one transaction under an advisory lock: drizzle's own
 * migrator creates its table and reads it without any lock, so that two servers starting at once would collide.
 * @returns `schema_newer` when a later build has migrated this database; nothing was changed then
 */
export function migrate(
  db: StoreDatabase,
  folder: string = migrationsFolder(),
): Promise<'up_to_date' | 'schema_newer'> {
  const migrations = readMigrationFiles({ migrationsFolder: folder })
  return db.transaction(async tx => {
    await tx.execute(sql`set local statement_timeout = 0`)
    await tx.execute(sql`select pg_advisory_xact_lock(${migrationLockKey})`)
    await tx.execute(sql`create schema if not exists ${bookSchema}`)
    await tx.execute(
      sql`create table if not exists ${book} (id serial primary key, hash text not null, created_at bigint)`,
    )
    const newest = await tx.select().from(book).orderBy(desc(book.createdAt)).limit(1)
    const appliedUntil = newest[0]?.createdAt ?? 0
    if (appliedUntil > (migrations.at(-1)?.folderMillis ?? 0)) return 'schema_newer'
    for (const migration of migrations) {
      if (migration.folderMillis <= appliedUntil) continue
      for (const statement of migration.sql) await tx.execute(sql.raw(statement))
      await tx.insert(book).values({ hash: migration.hash, createdAt: migration.folderMillis })
    }
    return 'up_to_date'
  })
}
