import { drizzle } from 'drizzle-orm/postgres-js'
import postgres from 'postgres'
import { errorCodeOf } from './database.ts'
import { createDrizzleStore } from './drizzle-store.ts'
import { migrate } from './migrate.ts'
import { schemaNewer, type OpenedStore, type StoreRefusal } from './store-refusal.ts'

/** Connections of one server; PostgreSQL allows 100 by default, and a store call holds one for milliseconds. */
const connectionsMax = 10
const connectTimeoutSeconds = 10
/** No statement of the store takes long; one that waits this long waits for something that will not come. */
const statementTimeoutMs = 30_000

/**
 * Opens the store on a PostgreSQL server and brings its schema up to this build.
 * @param url `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, with postgres.js's query parameters
 */
export async function openPostgresStore(url: string): Promise<OpenedStore> {
  const client = createClient(url)
  if (client === undefined) return urlInvalid
  try {
    const db = drizzle({ client })
    if ((await migrate(db)) === 'schema_newer') {
      await client.end()
      return schemaNewer
    }
    return createDrizzleStore(db, () => client.end())
  } catch (problem) {
    await client.end({ timeout: 0 })
    const refusal = toRefusal(problem, client.options)
    if (refusal === undefined) throw problem
    return refusal
  }
}

const urlInvalid: StoreRefusal = {
  code: 'url_invalid',
  message: 'DATABASE_URL is not of the form postgres://USER:PASSWORD@HOST:PORT/DATABASE',
}

/** @returns undefined when the URL cannot be read; postgres.js's own message would quote it, password and all */
function createClient(url: string): postgres.Sql | undefined {
  if (!/^postgres(ql)?:\/\//.test(url)) return undefined
  try {
    return postgres(url, {
      max: connectionsMax,
      connect_timeout: connectTimeoutSeconds,
      connection: {
        application_name: 'gpupool',
        // The form that columns.ts reads, whatever the server's own settings are.
        DateStyle: 'ISO',
        TimeZone: 'UTC',
        statement_timeout: statementTimeoutMs,
        // postgres.js prints notices on stdout, which belongs to scripts.
        client_min_messages: 'error',
      },
    })
  } catch (problem) {
    if (problem instanceof Error) return undefined
    throw problem
  }
}

/** SQLSTATE → what it means for the operator. */
const refusals: Readonly<Record<string, (where: Where) => StoreRefusal>> = {
  '28000': loginRefused,
  '28P01': loginRefused,
  '3D000': ({ server, database }) => ({
    code: 'database_missing',
    message: `there is no database ${database} at ${server}`,
  }),
  '42501': ({ server, database, user }) => ({
    code: 'not_permitted',
    message: `user ${user} may not create tables in database ${database} at ${server}`,
  }),
  '53100': ({ server }) => ({
    code: 'disk_full',
    message: `the disk of PostgreSQL at ${server} is full`,
  }),
  '53300': ({ server }) => ({
    code: 'unreachable',
    message: `PostgreSQL at ${server} has no connection left`,
  }),
  '57P03': ({ server }) => ({
    code: 'unreachable',
    message: `PostgreSQL at ${server} is starting up or shutting down`,
  }),
}

type Where = { readonly server: string; readonly database: string; readonly user: string }

function loginRefused({ server, user }: Where): StoreRefusal {
  return { code: 'login_refused', message: `PostgreSQL at ${server} refuses user ${user}` }
}

/** Node's socket and TLS codes and postgres.js's own (CONNECT_TIMEOUT, …); a SQLSTATE never begins with E. */
const isConnectionCode = (code: string): boolean => code.length > 5 || code.startsWith('E')

/** @returns undefined when it is none of the failures that an operator can mend */
function toRefusal(problem: unknown, options: postgres.Sql['options']): StoreRefusal | undefined {
  const { host, port, database, user } = options
  const server = host.map((name, index) => `${name}:${port[index] ?? ''}`).join(', ')
  const code = errorCodeOf(problem)
  if (code === undefined) return undefined
  if (isConnectionCode(code)) {
    return { code: 'unreachable', message: `no PostgreSQL server answers at ${server} (${code})` }
  }
  return refusals[code]?.({ server, database, user })
}
