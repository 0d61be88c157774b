import { dlopen } from 'bun:ffi'

const standardOutput = 1
const standardError = 2

/**
 * Takes the pipe to the agent away from standard output and gives standard output to standard error instead, so that
 * nothing but frames can reach the agent: llama.cpp's GPU backends and drivers may print with printf, below any
 * logger of node-llama-cpp. (A pipe of its own on descriptor 3 would do too, but the sandbox launcher closes
 * everything from 3 up.) Where there is no C library to ask, on Windows, frames stay on standard output.
 * @returns the descriptor to write frames to
 */
export function takeFrameOutput(): number {
  if (process.platform === 'linux') {
    const libc = dlopen('libc.so.6', {
      dup: { args: ['i32'], returns: 'i32' },
      dup3: { args: ['i32', 'i32', 'i32'], returns: 'i32' },
      dup2: { args: ['i32', 'i32'], returns: 'i32' },
    }).symbols
    const output = libc.dup(standardOutput)
    // dup3 only sets close-on-exec: node-llama-cpp starts a process to test its library, which must not hold the pipe.
    const closeOnExec = 0o2000000
    if (output < 0 || libc.dup3(standardOutput, output, closeOnExec) < 0) return standardOutput
    libc.dup2(standardError, standardOutput)
    return output
  }
  if (process.platform === 'darwin') {
    const libc = dlopen('libSystem.B.dylib', {
      dup: { args: ['i32'], returns: 'i32' },
      dup2: { args: ['i32', 'i32'], returns: 'i32' },
    }).symbols
    const output = libc.dup(standardOutput)
    if (output < 0) return standardOutput
    libc.dup2(standardError, standardOutput)
    return output
  }
  return standardOutput
}

/**
 * Asks Linux to kill this process when its parent dies. The end of standard input says the same, but only to an event
 * loop that runs: loading a driver or tokenising a long prompt can block it. Elsewhere the end of input has to do.
 */
export function dieWithParent(): void {
  if (process.platform !== 'linux') return
  const setParentDeathSignal = 1
  const kill = 9
  const parent = process.ppid
  const { prctl, getppid } = dlopen('libc.so.6', {
    prctl: { args: ['i32', 'u64', 'u64', 'u64', 'u64'], returns: 'i32' },
    getppid: { args: [], returns: 'i32' },
  }).symbols
  prctl(setParentDeathSignal, kill, 0, 0, 0)
  // The parent may have died before the call above.
  if (getppid() !== parent) process.exit(0)
}
