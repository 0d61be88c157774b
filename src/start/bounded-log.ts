import { closeSync, fstatSync, mkdirSync, openSync, renameSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'

/** A log of one process keeps at most twice this: the file being written and the one before it (`.1`). */
const logBytesMax = 4 * 1024 * 1024

export type BoundedLog = { readonly path: string; write(text: string): void; close(): void }

/** Appends to `path`, moving it aside to `path.1` whenever it is full. Writes at once, so that a crash loses nothing. */
export function openBoundedLog(path: string, bytesMax: number = logBytesMax): BoundedLog {
  mkdirSync(dirname(path), { recursive: true })
  let file = openSync(path, 'a', 0o600)
  let size = fstatSync(file).size
  return {
    path,
    write(text) {
      const bytes = Buffer.from(text)
      if (size > 0 && size + bytes.length > bytesMax) {
        closeSync(file)
        renameSync(path, `${path}.1`)
        file = openSync(path, 'a', 0o600)
        size = 0
      }
      writeSync(file, bytes)
      size += bytes.length
    },
    close: () => closeSync(file),
  }
}
