import type { AgentId } from '../src/protocol/ids.ts'
import type { AgentConnection } from '../src/server/control/agent-connections.ts'

type Attempt = { readonly stream: number; readonly attempt: number }

/** What is under way by the messages that the server has sent and got: an attempt runs from `assign` to its end or `cancel`. */
export class Assignments {
  readonly #running = new Map<AgentConnection, Set<string>>()
  readonly #connections = new Map<AgentId, AgentConnection>()

  /** On the newest connection of the agent. */
  runningOn(agentId: AgentId): number {
    const connection = this.#connections.get(agentId)
    return connection === undefined ? 0 : (this.#running.get(connection)?.size ?? 0)
  }

  sent(connection: AgentConnection, text: string): void {
    if (isAssignment(text)) this.#attemptsOf(connection).add(keyOf(text))
    else if (text.startsWith('{"type":"cancel"')) this.#running.get(connection)?.delete(keyOf(text))
  }

  received(connection: AgentConnection, data: string | Uint8Array): void {
    if (typeof data !== 'string') return
    if (data.startsWith('{"type":"finished"') || data.startsWith('{"type":"failed"'))
      this.#running.get(connection)?.delete(keyOf(data))
  }

  closed(connection: AgentConnection): void {
    this.#running.delete(connection)
    const { agentId } = connection
    if (agentId !== null && this.#connections.get(agentId) === connection)
      this.#connections.delete(agentId)
  }

  #attemptsOf(connection: AgentConnection): Set<string> {
    const known = this.#running.get(connection)
    if (known !== undefined) return known
    const attempts = new Set<string>()
    this.#running.set(connection, attempts)
    if (connection.agentId !== null) this.#connections.set(connection.agentId, connection)
    return attempts
  }
}

export const isAssignment = (text: string): boolean => text.startsWith('{"type":"assign')

function keyOf(text: string): string {
  const { stream, attempt } = JSON.parse(text) as Attempt
  return `${stream}/${attempt}`
}
