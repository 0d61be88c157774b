import type { ServerMessage } from '../../protocol/server-message.ts'

/** The way to one connected agent. Sending to a link that has just closed does nothing: its end is told separately. */
export type AgentLink = {
  send(message: ServerMessage): void
  close(code: number, reason: string): void
}
