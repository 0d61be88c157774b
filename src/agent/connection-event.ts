import type { Instant } from '../clock.ts'
import type { AgentMessage } from '../protocol/agent-message.ts'
import type { Refusal } from '../protocol/codec.ts'
import type { Failure } from '../protocol/errors.ts'
import type { ServerMessage } from '../protocol/server-message.ts'

/** An event of a socket carries its number, so that the last words of an old socket are not taken for the new one's. */
export type ConnectionEvent =
  | { readonly type: 'start' }
  | { readonly type: 'socket_opened'; readonly socket: number }
  | { readonly type: 'socket_closed'; readonly socket: number; readonly reason: string }
  | {
      readonly type: 'received'
      readonly socket: number
      readonly what: ServerMessage | Refusal
    }
  /** Time has passed; due at `dueAt`, harmless when earlier. */
  | { readonly type: 'tick' }
  /** The machine slept: whatever socket there was is gone, also when it does not know yet. */
  | { readonly type: 'woke' }
  /** The agent wants to tell the server something; it is dropped while there is no connection. */
  | { readonly type: 'say'; readonly message: AgentMessage }
  /** What a heartbeat says has changed so much that the server should know at once; dropped like `say`. */
  | { readonly type: 'heartbeat_now' }
  /** The agent ends. */
  | { readonly type: 'stop' }

export type Online = {
  readonly name: string
  readonly adminState: 'pending' | 'active' | 'draining'
  readonly version: number
}

/** What the server wants done; everything that is not about the connection itself. */
export type Order = Extract<
  ServerMessage,
  { type: 'load' | 'unload' | 'assign' | 'assign_embed' | 'cancel' | 'drain' }
>

export type ConnectionCommand =
  | { readonly type: 'open_socket'; readonly socket: number }
  | {
      readonly type: 'close_socket'
      readonly socket: number
      readonly code: number
      readonly reason: string
    }
  | { readonly type: 'send'; readonly message: AgentMessage }
  /** The driver adds what it knows (inventory, instances), signs for this version, and sends it. */
  | { readonly type: 'send_hello'; readonly nonce: string; readonly version: number }
  | {
      readonly type: 'send_heartbeat'
      readonly sequence: number
      readonly networkLatencyMs: number | null
    }
  | { readonly type: 'deliver'; readonly order: Order }
  | { readonly type: 'online'; readonly welcome: Online }
  /** The connection that was online is so no more. */
  | { readonly type: 'offline'; readonly reason: string }
  | { readonly type: 'retry'; readonly at: Instant; readonly reason: string }
  /** The server will not have this agent until a person has changed something. */
  | { readonly type: 'refused_for_good'; readonly error: Failure }
  | { readonly type: 'log'; readonly level: 'info' | 'warn'; readonly text: string }
