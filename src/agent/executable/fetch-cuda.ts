import { createReadStream } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { download } from '../download.ts'
import { hashFile } from '../file-hashes.ts'
import type { Identity } from '../state-dir.ts'
import type { Timers } from '../timers.ts'
import type { CudaPin } from './build-facts.ts'
import type { OpenPack, PackCache, PackPin, PackProblem } from './pack-cache.ts'

export type FetchCudaDeps = {
  readonly cache: PackCache
  readonly cacheDir: string
  readonly origin: Identity['origin']
  readonly caPem: string
  readonly timers: Timers
  readonly log: Logger
  readonly signal: AbortSignal
}

export const cudaPin = ({ manifestSha256 }: CudaPin): PackPin => ({ kind: 'cuda', manifestSha256 })

/** Progress is said at every tenth of the way: the archive has some hundred megabytes, once. */
const progressStep = 0.1

/**
 * Makes the CUDA libraries ready: from the cache, else from the pool's server. A download that was interrupted goes on
 * where it stopped, in this process or the next; what does not have the pinned hash is thrown away.
 */
export function openCudaPack(pin: CudaPin, deps: FetchCudaDeps): Promise<OpenPack | PackProblem> {
  const partPath = join(deps.cacheDir, `${pin.sha256.slice(0, 16)}.part`)
  return deps.cache
    .open({
      ...cudaPin(pin),
      archive: async () => {
        const problem = await fetchArchive(pin, partPath, deps)
        return problem === null ? createReadStream(partPath) : { problem }
      },
    })
    .then(async opened => {
      // The unpacked files are what is kept; a failed download keeps its part, to go on from.
      if ('dir' in opened) await rm(partPath, { force: true })
      return opened
    })
}

/** @returns why it is not there, or null */
async function fetchArchive(
  pin: CudaPin,
  partPath: string,
  { origin, caPem, timers, log, signal }: FetchCudaDeps,
): Promise<string | null> {
  const url = `${origin}/download/${pin.fileName}`
  const megabytes = Math.round(pin.sizeBytes / 1e6)
  log.info(`fetching the CUDA libraries (${megabytes} MB) from ${origin}, this once`)
  let said = 0
  const failure = await download(
    { url, pool: { headers: {}, caPem }, partPath, sizeBytes: pin.sizeBytes },
    timers,
    ratio => {
      if (ratio < said + progressStep) return
      said = ratio
      log.info(`CUDA libraries: ${Math.round(ratio * 100)} % of ${megabytes} MB`)
    },
    signal,
  )
  if (failure !== undefined) return failure.message
  if ((await hashFile(partPath, signal)) === pin.sha256) return null
  await rm(partPath, { force: true })
  return 'the server has other CUDA libraries than this agent was built for'
}
