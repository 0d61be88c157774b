/** What the measuring process is to load, as JSON in its first argument. */
export type MeasureOrder = {
  readonly modelPath: string
  readonly contextTokensPerSlot: number
  readonly slots: number
  readonly batchTokens: number
  readonly cacheType: 'F16' | 'Q8_0'
  readonly flashAttention: boolean
  /** Null: without any GPU. */
  readonly gpuLayers: number | null
}

export type SideTaken = {
  readonly weightsBytes: number
  readonly kvCacheBytes: number
  readonly computeBytes: number
  readonly outputBytes: number
}

/** What llama.cpp says that it allocated, and how the process grew; one line of JSON. */
export type Taken = {
  readonly gpu: SideTaken
  readonly cpu: SideTaken
  /** Resident size of the process after a whole batch was computed. */
  readonly residentBytes: number
}
