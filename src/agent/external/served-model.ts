import type { ExternalModel } from '../../models/external-model.ts'
import type { EngineServer } from './engine-server.ts'

/** A model that one of the owner's engines serves: what the pool is told of it, and where it is. */
export type ServedModel = ExternalModel & {
  readonly server: EngineServer
  /** Requests at a time. */
  readonly slots: number
}
