import type { Connection } from './connection.ts'

/** What the server answered, or why there is no answer, for the person at the terminal. */
export type Answer<Body> = { readonly body: Body } | { readonly problem: string }

/** Calls the admin API. The bodies' types are the server's own, from the same release. */
export class ApiClient {
  readonly #connection: Connection

  constructor(connection: Connection) {
    this.#connection = connection
  }

  get<Body>(path: string): Promise<Answer<Body>> {
    return this.#call('GET', path)
  }

  post<Body>(path: string, body: object = {}): Promise<Answer<Body>> {
    return this.#call('POST', path, body)
  }

  delete<Body>(path: string): Promise<Answer<Body>> {
    return this.#call('DELETE', path)
  }

  async #call<Body>(method: string, path: string, body?: object): Promise<Answer<Body>> {
    const { url, key } = this.#connection
    let response: Response
    try {
      response = await fetch(url + path, {
        method,
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
        // Adding a model answers when its download is done.
        timeout: false,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      return {
        problem: `no server answers at ${url} (${why}). Is it running? Set GPUPOOL_URL if it is elsewhere`,
      }
    }
    const json = await readJson(response)
    if (response.ok && json !== null) return { body: json as Body }
    if (response.status === 401)
      return {
        problem: `the server at ${url} does not accept the admin key (GPUPOOL_ADMIN_KEY or admin.key)`,
      }
    const message = json === null ? null : errorMessage(json)
    return {
      problem:
        message ?? `${url} answered with HTTP status ${response.status}; is it a gpupool server?`,
    }
  }
}

async function readJson(response: Response): Promise<object | null> {
  try {
    const json: unknown = await response.json()
    return typeof json === 'object' ? json : null
  } catch {
    return null
  }
}

function errorMessage(json: object): string | null {
  if (!('error' in json) || typeof json.error !== 'object' || json.error === null) return null
  const { error } = json
  return 'message' in error && typeof error.message === 'string' ? error.message : null
}
