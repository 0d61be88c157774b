import { spawn } from 'node:child_process'
import { constants } from 'node:os'

/** The person, or whoever started us, wants this to end. */
export class Interrupted extends Error {
  constructor(signal) {
    super(`interrupted by ${signal}`)
    this.exitCode = 128 + (constants.signals[signal] ?? 2)
  }
}

const outputCharsMax = 20_000
const parentPollMs = 1_000
const windows = process.platform === 'win32'

let current
let received
let count = 0

/**
 * A Ctrl-C reaches every process of the terminal's foreground group, so the child has the SIGINT already. What is
 * passed on is SIGTERM, whatever came in: the child thus gets one request to stop and never mistakes our copy for
 * a second Ctrl-C. The third one means that asking is over.
 */
function onSignal(signal) {
  received ??= signal
  count++
  if (current === undefined) return
  if (count >= 3) current.kill('SIGKILL')
  else if (!(windows && signal === 'SIGINT')) current.kill('SIGTERM')
}

/** npm tells the shell around us to stop, and that shell dies without a word to us; a new parent is the sign. */
function watchParent() {
  if (windows || process.env.npm_lifecycle_event === undefined) return
  const parent = process.ppid
  const timer = setInterval(() => {
    if (process.ppid === parent) return
    clearInterval(timer)
    onSignal('SIGTERM')
  }, parentPollMs)
  timer.unref()
}

/** To be called once, before anything is started. */
export function listenForSignals() {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => onSignal(signal))
  watchParent()
}

/** Throws when a signal came in meanwhile. */
export function stopIfInterrupted() {
  if (received !== undefined) throw new Interrupted(received)
}

/** Our environment without what npm sets for its own scripts, which would configure the package managers below. */
export function childEnvironment() {
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^npm_(lifecycle|package)_/.test(name),
  )
  return Object.fromEntries(kept)
}

function start(command, args, options) {
  stopIfInterrupted()
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { windowsHide: true, ...options })
    current = child
    let output = ''
    const keep = chunk => {
      output = (output + chunk).slice(-outputCharsMax)
    }
    child.stdout?.setEncoding('utf8').on('data', keep)
    child.stderr?.setEncoding('utf8').on('data', keep)
    child.once('error', error => {
      current = undefined
      reject(error)
    })
    child.once('close', (code, signal) => {
      current = undefined
      // Ended by the SIGTERM that we passed on for it: what counts is the signal that we got.
      const endedBy = signal === 'SIGTERM' && received !== undefined ? received : signal
      resolve({ code: code ?? 128 + (constants.signals[endedBy] ?? 0), output })
    })
  })
}

/** Runs a quiet helper to its end. @returns its exit code and the end of what it printed */
export async function run(command, args, options = {}) {
  const result = await start(command, args, {
    env: childEnvironment(),
    ...options,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  stopIfInterrupted()
  return result
}

/** Gives the terminal to the program that was asked for. @returns its exit code */
export async function handOver(command, args, options) {
  const { code } = await start(command, args, { ...options, stdio: 'inherit' })
  return code
}
