import type { AgentMessage } from '../protocol/agent-message.ts'
import type { Failure } from '../protocol/errors.ts'
import type { InstanceId } from '../protocol/ids.ts'
import type { Load } from '../protocol/server-message.ts'
import type { Order } from './connection-event.ts'
import type { QuarantinedFile } from './death-records.ts'
import type { EngineEvent, EngineTask, WantedModel } from './engine/engine.ts'
import type { Room } from './room.ts'

/** What an engine says, but for token frames: those go straight to the socket. */
export type EngineWord = Exclude<EngineEvent, { type: 'token_frame' }>

export type InstanceEvent =
  /** `availableBytes`: memory that a new process could get now. */
  | { readonly type: 'order'; readonly order: Order; readonly availableBytes: number }
  | { readonly type: 'file_progress'; readonly instanceId: InstanceId; readonly progress: number }
  | {
      readonly type: 'file_ready'
      readonly instanceId: InstanceId
      readonly path: string
      readonly room: Room
    }
  /** What memory there is now, as `look_for_room` asked. */
  | {
      readonly type: 'room'
      readonly instanceId: InstanceId
      readonly look: number
      readonly room: Room
    }
  | { readonly type: 'file_failed'; readonly instanceId: InstanceId; readonly error: Failure }
  | { readonly type: 'engine'; readonly engine: number; readonly word: EngineWord }
  /** An engine that was told to close is gone. */
  | { readonly type: 'engine_closed'; readonly engine: number }
  /** Whether a GPU is too hot to work, and why; null: it is not. */
  | { readonly type: 'heat'; readonly refusal: string | null }
  /** Time to look for models that nobody uses. */
  | { readonly type: 'idle_check'; readonly idleUnloadMs: number | null }
  | { readonly type: 'connected'; readonly draining: boolean }
  | { readonly type: 'disconnected' }

export type InstanceCommand =
  | { readonly type: 'fetch_file'; readonly load: Load }
  | { readonly type: 'abandon_fetch'; readonly instanceId: InstanceId }
  | {
      readonly type: 'look_for_room'
      readonly load: Load
      readonly path: string
      readonly look: number
      readonly afterMs: number
    }
  | {
      readonly type: 'start_engine'
      readonly engine: number
      /** The host adds what depends on the moment. */
      readonly model: WantedModel
    }
  | { readonly type: 'close_engine'; readonly engine: number }
  | { readonly type: 'run_job'; readonly engine: number; readonly job: EngineTask }
  | {
      readonly type: 'cancel_job'
      readonly engine: number
      readonly stream: number
      readonly attempt: number
    }
  | { readonly type: 'quarantine'; readonly file: QuarantinedFile }
  | { readonly type: 'say'; readonly message: AgentMessage }
  | { readonly type: 'log'; readonly level: 'info' | 'warn' | 'error'; readonly text: string }
