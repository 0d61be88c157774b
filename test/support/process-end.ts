import { dlopen, FFIType, ptr } from 'bun:ffi'
import { readFileSync } from 'node:fs'

const syscallPidfdOpen = 434n
const pollIn = 1

const libc = dlopen('libc.so.6', {
  syscall: { args: [FFIType.i64, FFIType.i64, FFIType.i64], returns: FFIType.i64 },
  poll: { args: [FFIType.ptr, FFIType.u64, FFIType.i32], returns: FFIType.i32 },
  close: { args: [FFIType.i32], returns: FFIType.i32 },
})

/**
 * Blocks until a process that is not our child has ended, woken by the kernel (pidfd), or `limitMs` have passed.
 * @returns whether it has ended
 */
export function endedWithin(pid: number, limitMs: number): boolean {
  const fd = Number(libc.symbols.syscall(syscallPidfdOpen, BigInt(pid), 0n))
  if (fd < 0) return true
  const pollFd = new ArrayBuffer(8)
  const view = new DataView(pollFd)
  view.setInt32(0, fd, true)
  view.setInt16(4, pollIn, true)
  const ended = libc.symbols.poll(ptr(pollFd), 1, limitMs) === 1
  libc.symbols.close(fd)
  return ended
}

/** Ids of the processes that this one has started and that are alive. */
export function childrenOf(pid: number): readonly number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim()
  return text === '' ? [] : text.split(' ').map(Number)
}
