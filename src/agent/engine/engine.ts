import type { ExternalSource } from '../../models/external-model.ts'
import type { ChatJob, Continuation, FinishReason } from '../../protocol/chat-job.ts'
import type { EmbedJob } from '../../protocol/embed-job.ts'
import type { Failure } from '../../protocol/errors.ts'

/** What to load into one engine. */
export type EngineModel = {
  readonly modelPath: string
  /** Tokens per slot. */
  readonly contextTokens: number
  /** Jobs at the same time. */
  readonly slots: number
  /** Threads of inference. More than there are free cores is a cliff, so this is never left to a default. */
  readonly threads: number
  /** Layers on the GPU, the output counted as one; `auto`: the engine decides; null: the GPU is not used at all. */
  readonly gpuLayers: number | 'auto' | null
}

/** What the server wants loaded; the agent decides the rest. */
export type WantedModel = Pick<EngineModel, 'modelPath' | 'contextTokens' | 'slots'> & {
  /** Main memory and the processor alone, whatever GPU there is. */
  readonly withoutGpu: boolean
  /** It ran out of memory with as much of the GPU as was reckoned to fit. */
  readonly lessGpu?: boolean
  /** An engine that the owner runs serves it; there is no file. */
  readonly external?: ExternalSource
}

export type EngineJob = {
  readonly stream: number
  readonly attempt: number
  readonly chat: ChatJob
  readonly continuation: Continuation | null
}

export type EmbedEngineJob = {
  readonly stream: number
  readonly attempt: number
  readonly embed: EmbedJob
}

/** Whatever an engine can be given; which of the two it can do depends on its model. */
export type EngineTask = EngineJob | EmbedEngineJob

/** What an engine says. Job events carry the stream and attempt of the job they belong to. */
export type EngineEvent =
  | { readonly type: 'loading'; readonly progress: number | null }
  | {
      readonly type: 'ready'
      readonly contextTokens: number
      readonly slots: number
      readonly loadMs: number
    }
  | { readonly type: 'load_failed'; readonly error: Failure }
  | {
      readonly type: 'started'
      readonly stream: number
      readonly attempt: number
      /** Null: not known, or not yet; it comes again when it is. */
      readonly promptTokens: number | null
      /** Null: an engine that tells no token ids, so its answers cannot be continued. */
      readonly promptSha256: string | null
      readonly cachedTokens?: number
    }
  /** A token frame or a vector frame, encoded by the worker; it goes to the server untouched, so nobody parses it on the way. */
  | { readonly type: 'token_frame'; readonly bytes: Uint8Array<ArrayBuffer> }
  | {
      readonly type: 'finished'
      readonly stream: number
      readonly attempt: number
      readonly reason: FinishReason
      readonly tokens: number
    }
  | {
      readonly type: 'failed'
      readonly stream: number
      readonly attempt: number
      readonly error: Failure
    }
  /** The process behind the engine is gone; nothing follows. Jobs that were running have had no `failed`. */
  | { readonly type: 'died'; readonly error: Failure; readonly exit: string }

/** The `exit` of a worker that one job's grammar kept from the others. It says nothing about engine, file or machine. */
export const heldUpExit = 'held up by a grammar'

/**
 * Runs one loaded model. One engine is one worker process, or a connection to an engine of the owner
 * (external/external-engine.ts), which has no pid here and dies when it does not answer any more. It takes jobs as soon
 * as it exists (they wait for the load) and answers each with started, token frames, and finished or failed, unless it is
 * cancelled or dies; a job for vectors with vector frames, and finished or failed.
 */
export type Engine = {
  readonly pid: number | undefined
  run(job: EngineTask): void
  /** Takes effect within one token or input; nothing is said about the job afterwards. */
  cancel(stream: number, attempt: number): void
  /** Ends the process: asks, then kills. Resolves when it is gone. */
  close(): Promise<void>
}

export type StartEngine = (model: EngineModel, onEvent: (event: EngineEvent) => void) => Engine
