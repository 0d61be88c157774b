import { writeSync } from 'node:fs'
import { encodeFrame, encodeJsonFrame, frameKindToken } from './frames.ts'
import type { MeasureReport } from './measure-message.ts'
import type { WorkerReport } from './worker-message.ts'

/** The worker's mouth. */
export type WorkerOutput = {
  say(report: WorkerReport | MeasureReport): void
  /** @param frame a token frame as protocol/token-frame.ts encodes it */
  sendTokenFrame(frame: Uint8Array): void
}

const retryMs = 1

/**
 * Writes frames to a pipe, and waits when it is full: that is the backpressure. An agent that does not read stops the
 * inference instead of filling the worker's memory. When the agent is gone the worker goes too.
 */
export function createWorkerOutput(fileDescriptor: number): WorkerOutput {
  const write = (bytes: Uint8Array) => {
    let at = 0
    while (at < bytes.length) {
      try {
        at += writeSync(fileDescriptor, bytes, at)
      } catch (error) {
        const code = error instanceof Error && 'code' in error ? error.code : null
        if (code === 'EPIPE' || code === 'ECONNRESET') process.exit(0)
        // The descriptor may have been made non-blocking by whoever made the pipe.
        if (code !== 'EAGAIN') throw error
        Bun.sleepSync(retryMs)
      }
    }
  }
  return {
    say: report => {
      write(encodeJsonFrame(report))
    },
    sendTokenFrame: frame => {
      write(encodeFrame(frameKindToken, frame))
    },
  }
}
