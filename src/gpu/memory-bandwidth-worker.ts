import { systemClock } from '../clock.ts'
import { copyBytes, measureMsMax, type CopyResult } from './memory-bandwidth.ts'

declare const self: Worker

self.postMessage(copyFor(measureMsMax))

/** Copies between two blocks until the time is up. Filling them first has the system give out their pages before. */
function copyFor(msMax: number): CopyResult {
  const from = new Float64Array(copyBytes / 16).fill(1)
  const to = new Float64Array(copyBytes / 16).fill(2)
  const start = systemClock.now()
  let bytes = 0
  let ms = 0
  while (ms < msMax) {
    to.set(from)
    bytes += from.byteLength * 2
    ms = systemClock.now() - start
  }
  return { bytes, ms }
}
