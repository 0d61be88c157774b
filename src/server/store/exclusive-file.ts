import { dlopen, FFIType, ptr, read } from 'bun:ffi'
import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs'

/** The file is ours until `release` or the end of this process, however it ends: the kernel holds the lock. */
export type ExclusiveFile = { readonly release: () => void }

/** Another process (or another holder in this one) has the file; `content` is what it wrote into it. */
export type FileTaken = { readonly taken: true; readonly content: string }

/**
 * Takes a file for this process alone and writes `content` into it. The file stays when it is released, since removing it
 * would let two processes hold locks on two files of the same name.
 * @throws Node's error when the file cannot be opened or written; an Error when the file system cannot lock
 */
export function takeFile(path: string, content: string): ExclusiveFile | FileTaken {
  return process.platform === 'win32'
    ? takeFileWindows(path, content)
    : takeFilePosix(path, content)
}

const lockExclusive = 2
const lockNonBlocking = 4

/** libc under the names that glibc, musl and macOS give it. */
const libcNames =
  process.platform === 'darwin'
    ? ['libSystem.B.dylib']
    : ['libc.so.6', `libc.musl-${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}.so.1`]

const errnoSymbol = process.platform === 'darwin' ? '__error' : '__errno_location'
const wouldBlock = process.platform === 'darwin' ? 35 : 11

function loadLibc() {
  const problems: unknown[] = []
  for (const name of libcNames) {
    try {
      return dlopen(name, {
        flock: { args: [FFIType.i32, FFIType.i32], returns: FFIType.i32 },
        [errnoSymbol]: { args: [], returns: FFIType.ptr },
      })
    } catch (problem) {
      problems.push(problem)
    }
  }
  throw new AggregateError(problems, 'no C library with flock was found')
}

function takeFilePosix(path: string, content: string): ExclusiveFile | FileTaken {
  const descriptor = openSync(path, 'a+', 0o600)
  try {
    const { symbols } = loadLibc()
    if (symbols.flock(descriptor, lockExclusive | lockNonBlocking) !== 0) {
      const errnoAt = symbols[errnoSymbol]?.()
      const errno = errnoAt ? read.i32(errnoAt, 0) : 0
      if (errno !== wouldBlock) throw new Error(`flock failed on ${path} with errno ${errno}`)
      closeSync(descriptor)
      return { taken: true, content: readFileSync(path, 'utf8') }
    }
    ftruncateSync(descriptor, 0)
    writeSync(descriptor, content)
  } catch (problem) {
    closeSync(descriptor)
    throw problem
  }
  return { release: () => closeSync(descriptor) }
}

const genericReadWrite = 0xc000_0000
const shareRead = 1
const openAlways = 4
const attributeNormal = 0x80
const invalidHandle = 0xffff_ffff_ffff_ffffn

/** An open handle that lets others read but not write: the second one to ask for writing gets a sharing violation. */
function takeFileWindows(path: string, content: string): ExclusiveFile | FileTaken {
  // Opened for a moment by ordinary means, so that a path that cannot be written fails with Node's own error.
  try {
    closeSync(openSync(path, 'a', 0o600))
  } catch (problem) {
    if (!(problem instanceof Error && 'code' in problem && problem.code === 'EBUSY')) throw problem
    return { taken: true, content: readFileSync(path, 'utf8') }
  }
  const { symbols } = dlopen('kernel32.dll', {
    CreateFileW: {
      args: [
        FFIType.ptr,
        FFIType.u32,
        FFIType.u32,
        FFIType.ptr,
        FFIType.u32,
        FFIType.u32,
        FFIType.ptr,
      ],
      returns: FFIType.u64,
    },
    WriteFile: {
      args: [FFIType.u64, FFIType.ptr, FFIType.u32, FFIType.ptr, FFIType.ptr],
      returns: FFIType.i32,
    },
    SetEndOfFile: { args: [FFIType.u64], returns: FFIType.i32 },
    CloseHandle: { args: [FFIType.u64], returns: FFIType.i32 },
  })
  const widePath = Buffer.from(`${path}\0`, 'utf16le')
  const handle = symbols.CreateFileW(
    ptr(widePath),
    genericReadWrite,
    shareRead,
    null,
    openAlways,
    attributeNormal,
    null,
  )
  if (handle === invalidHandle) return { taken: true, content: readFileSync(path, 'utf8') }
  const bytes = Buffer.from(content)
  const written = new Uint32Array(1)
  const ok =
    symbols.WriteFile(handle, ptr(bytes), bytes.byteLength, ptr(written), null) !== 0 &&
    symbols.SetEndOfFile(handle) !== 0
  if (!ok) {
    symbols.CloseHandle(handle)
    throw new Error(`could not write ${path}`)
  }
  return { release: () => void symbols.CloseHandle(handle) }
}
