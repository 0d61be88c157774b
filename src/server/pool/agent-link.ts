import type { ServerMessage } from '../../protocol/server-message.ts'

/** `too_large`: the agent would refuse it and hang up, so it was not sent. */
export type Sent = 'sent' | 'not_connected' | 'too_large'

/** The way to one connected agent. Its end is told separately. */
export type AgentLink = {
  send(message: ServerMessage): Sent
  /** Pings it at once and takes it for late until it answers. */
  probe(): void
  close(code: number, reason: string): void
}
