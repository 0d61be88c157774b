import { Type, type Static } from 'typebox'
import { InventorySchema } from '../../protocol/gpu.ts'
import { ModelFitSchema } from './model-fit.ts'

/**
 * What `probe --json` prints. Fields may be added; `schemaVersion` grows when one changes its meaning or goes. What
 * could not be read is null.
 */
export const ProbeReportSchema = Type.Object({
  schemaVersion: Type.Literal(1),
  /** Of the agent. */
  version: Type.String(),
  /** What the pool is told in hello; `readBy` of a GPU names the method that read each fact. */
  inventory: InventorySchema,
  /** Bytes of main memory that a new process can get now, within the limits of a container. */
  memoryAvailableBytes: Type.Number({ minimum: 0 }),
  /** One for each of `inventory.gpus`, in its order. */
  devices: Type.Array(
    Type.Object({
      id: Type.String(),
      eligible: Type.Boolean(),
      /** Why it may not serve. */
      reasons: Type.Array(Type.String()),
      /** Known trouble with its driver. */
      driverNotes: Type.Array(Type.String()),
      /** 0 to 100. */
      score: Type.Number({ minimum: 0, maximum: 100 }),
      /** How the score comes about. */
      explanation: Type.String(),
      /** Where the figures are from that no probe reads, for example the table of cards. */
      figuresFrom: Type.String(),
      /** What llama.cpp may drive it with, best first, without what its driver is known to break; null: not known. */
      backends: Type.Union([Type.Array(Type.String()), Type.Null()]),
    }),
  ),
  /** Where the models below are from: `pool`, or `local` (files on this machine) when the pool was not asked. */
  modelsFrom: Type.Union([Type.Literal('pool'), Type.Literal('local')]),
  /** Why the pool was not asked, or did not tell; null when it did. */
  modelsNote: Type.Union([Type.String(), Type.Null()]),
  models: Type.Array(
    Type.Object({
      name: Type.String(),
      sizeBytes: Type.Number({ minimum: 0 }),
      /** Tokens of one slot and number of slots that the fits are computed for. */
      contextTokens: Type.Integer({ minimum: 1 }),
      slots: Type.Integer({ minimum: 1 }),
      /** By the id of the device, or `cpu`. */
      fits: Type.Record(Type.String(), ModelFitSchema),
    }),
  ),
  /** What the probes said went wrong. */
  problems: Type.Array(Type.String()),
})
export type ProbeReport = Static<typeof ProbeReportSchema>
