/** What the server's thread and the thread that owns PGlite say to each other. One answer per request, by id. */

export type PgliteRequest =
  | { readonly id: number; readonly kind: 'open'; readonly dataDir: string | null }
  | {
      readonly id: number
      readonly kind: 'query'
      readonly sql: string
      readonly params: readonly unknown[]
      readonly rowMode: 'array' | 'object'
    }
  | { readonly id: number; readonly kind: 'close' }

export type PgliteResult = {
  readonly rows: readonly unknown[]
  readonly fields: readonly { readonly name: string; readonly dataTypeID: number }[]
  readonly affectedRows?: number | undefined
  /** As PostgreSQL reports it: SELECT, INSERT, COMMIT, … */
  readonly command?: string | undefined
}

/** An error loses its own fields when it crosses a thread boundary, so they travel as data. */
export type PgliteFailure = {
  readonly message: string
  /** SQLSTATE, when it was the database that refused. */
  readonly code: string | undefined
}

export type PgliteAnswer =
  | { readonly id: number; readonly ok: true; readonly result: PgliteResult | null }
  | { readonly id: number; readonly ok: false; readonly failure: PgliteFailure }
