import type { Store } from './store.ts'

/** Why no store could be opened, as data: the operator can mend each of these. `message` never holds a password. */
export type StoreRefusal =
  | {
      readonly code: 'locked'
      /** The process that has the directory; null when it has not written it down yet. */
      readonly pid: number | null
      readonly message: string
    }
  | {
      readonly code:
        | 'not_writable'
        | 'disk_full'
        /** The files are there but the database does not start from them. */
        | 'damaged'
        /** Migrated by a later build; this one would not understand what it reads. */
        | 'schema_newer'
        | 'url_invalid'
        | 'unreachable'
        | 'login_refused'
        | 'database_missing'
        | 'not_permitted'
      readonly message: string
    }

export const isStoreRefusal = <Opened extends object>(
  result: Opened | StoreRefusal,
): result is StoreRefusal => 'code' in result

/** An open store or the reason why there is none. */
export type OpenedStore = Store | StoreRefusal

export const schemaNewer: StoreRefusal = {
  code: 'schema_newer',
  message:
    'the database was migrated by a later version of gpupool: start that version or a later one',
}
