/** What `script/build-agent.ts` knew when it made this executable. */
export type BuildFacts = {
  /** For example `linux-x64`. */
  readonly target: string
  /** Git commit of the sources, `+` behind it when they were changed; null outside a git checkout. */
  readonly commit: string | null
  /** Version of node-llama-cpp inside. */
  readonly engineVersion: string
  /** SHA-256 of the manifest of the runtime pack that the executable carries, see `pack.ts`. */
  readonly runtimeManifestSha256: string
  /** The CUDA libraries, fetched from the server; null when none were built for this target. */
  readonly cuda: CudaPin | null
}

/** A pack on the server, pinned. */
export type CudaPin = {
  readonly fileName: string
  readonly sizeBytes: number
  /** Of the compressed archive. */
  readonly sha256: string
  /** Of the manifest in it. */
  readonly manifestSha256: string
}

/** Put in by the build (`define`); in a checkout there is no such variable. */
declare const gpupoolBuildFacts: BuildFacts | undefined

/** Null in a checkout. */
export const buildFacts: BuildFacts | null =
  typeof gpupoolBuildFacts === 'undefined' ? null : gpupoolBuildFacts
