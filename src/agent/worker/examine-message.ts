import { Type, type Static } from 'typebox'

/** The worker's argument that has it look at its engine and say what it found, instead of serving. */
export const examineArgument = 'examine'

/** What a look at the engine found: one line of JSON where frames go otherwise. */
export const EngineReportSchema = Type.Object({
  /** The build of llama.cpp that really loaded. */
  backend: Type.Union([
    Type.Literal('cuda'),
    Type.Literal('metal'),
    Type.Literal('vulkan'),
    Type.Literal('cpu'),
  ]),
  /** The GPUs that it uses, in the words of their driver. */
  devices: Type.Array(Type.String({ maxLength: 256 }), { maxItems: 64 }),
  /** What the library said while it chose, for example why a faster build did not load. */
  notes: Type.Array(Type.String({ maxLength: 500 }), { maxItems: 8 }),
  /** A small model that was loaded and computed with; null: there was none to try. */
  model: Type.Union([
    Type.Object({
      /** Of its layers, the output counted as one, so many are on the GPU. */
      gpuLayers: Type.Integer({ minimum: 0 }),
      layers: Type.Integer({ minimum: 0 }),
      /** Tokens that it made. */
      tokens: Type.Integer({ minimum: 0 }),
    }),
    Type.Object({ problem: Type.String({ maxLength: 1_000 }) }),
    Type.Null(),
  ]),
})
export type EngineReport = Static<typeof EngineReportSchema>
