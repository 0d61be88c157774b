import { lookup } from 'node:dns/promises'
import os from 'node:os'
import { pino, type Logger } from 'pino'
import pretty from 'pino-pretty'
import { systemClock, wallClock } from '../clock.ts'
import { readMachine } from '../gpu/machine.ts'
import type { GpuProbe } from '../gpu/probe.ts'
import { createSystemProbe } from '../gpu/system-probe.ts'
import type { Inventory } from '../protocol/gpu.ts'
import { takeAgentLock } from './agent-lock.ts'
import { agentPublicKey } from './agent-keys.ts'
import { parseCommandLine, usage, type Command } from './command-line.ts'
import { parseDiskGb } from './disk-budget.ts'
import { doctor } from './doctor/doctor-command.ts'
import type { EngineSurroundings, PreparedEngine, PrepareEngine } from './engine/prepare-engine.ts'
import type { PrepareWorker } from './engine/worker-program.ts'
import { enrol, readJoinLink } from './enrol.ts'
import { buildFacts } from './executable/build-facts.ts'
import { embeddedFile } from './executable/embedded-file.ts'
import { readEngineSettings } from './external/engine-settings.ts'
import { judgeDevice } from '../capability/judge-device.ts'
import { parseIdleUnload } from './idle-unload.ts'
import { askStatus, localControlPath } from './local-control.ts'
import { modelsCommand } from './models/models-command.ts'
import { pullCommand } from './models/pull-command.ts'
import { probe } from './probe/probe-command.ts'
import { startAgent } from './run.ts'
import { formatVersion, programName } from './software.ts'
import {
  defaultStateDir,
  prepareStateDir,
  readEnrolment,
  readOrMakeKey,
  removeEnrolment,
  StateError,
  writeEnrolment,
} from './state-dir.ts'
import { formatIdentity, formatStatus } from './status-text.ts'
import { parseCalibrate, parseThreads } from './threads.ts'
import { processTimers } from './timers.ts'

const exitOk = 0
const exitFailed = 1
const exitUsage = 2
const stopSignals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

function fail(problem: string): number {
  process.stderr.write(`${problem}\n`)
  return exitFailed
}

/** What a checkout and the executable do differently. */
export type EngineParts = {
  readonly prepareEngine: PrepareEngine
  readonly prepareWorker: PrepareWorker
}

async function perform(command: Command, dir: string, engine: EngineParts): Promise<number> {
  switch (command.name) {
    case 'help':
      process.stdout.write(usage)
      return exitOk
    case 'version':
      process.stdout.write(formatVersion(buildFacts))
      return exitOk
    case 'licenses':
      return await licenses()
    case 'join':
      return await join(command, dir)
    case 'run':
      return await run(dir, engine.prepareEngine)
    case 'status':
      return await status(command.json, dir)
    case 'leave':
      return leave(command.yes, dir)
    case 'probe':
      return await probe(command.json, dir)
    case 'models':
      return await modelsCommand(command, dir)
    case 'models pull':
      return await pullCommand(command.model, dir)
    case 'doctor':
      return await doctor(command.json, dir, engine.prepareWorker)
  }
}

async function join(command: Extract<Command, { name: 'join' }>, dir: string): Promise<number> {
  const link = readJoinLink(command.link)
  if ('problem' in link) return fail(link.problem)
  prepareStateDir(dir)
  const before = readEnrolment(dir)
  if (before !== undefined)
    return fail(`this machine has joined ${before.identity.origin} already; run "leave" first`)
  const key = readOrMakeKey(dir)
  const found = await createSystemProbe().inventory()
  for (const problem of found.problems) process.stderr.write(`note: ${problem}\n`)
  const name = command.machineName ?? (os.hostname().slice(0, 128) || 'unnamed')
  const { region } = command
  const inventory = await readMachine(found)
  const enrolled = await enrol(link, { publicKey: agentPublicKey(key), name, region, inventory })
  if ('problem' in enrolled) return fail(enrolled.problem)
  const { agentId, apiKey, controlPort, adminState, notes } = enrolled.response
  for (const note of notes ?? ownNotes(inventory)) process.stderr.write(`note: ${note}\n`)
  const { origin, caFingerprint } = link
  const identity = { agentId, origin, controlPort, caFingerprint, apiKey, name, region }
  writeEnrolment(dir, identity, enrolled.caPem)
  const next =
    adminState === 'pending' ? 'The operator has to approve it before it gets work. ' : ''
  process.stdout.write(
    `This machine has joined ${origin} as "${name}" (${agentId}). ${next}Now run: ${programName(buildFacts)} run\n`,
  )
  return exitOk
}

/** A server that sends no notes does not judge machines; then this side's judgement is all there is. */
const ownNotes = (inventory: Inventory): readonly string[] =>
  inventory.gpus.flatMap(gpu => judgeDevice(inventory, gpu, systemClock.now()).driverNotes)

async function run(dir: string, prepareEngine: PrepareEngine): Promise<number> {
  const threads = parseThreads(process.env['GPUPOOL_AGENT_THREADS'])
  if (typeof threads === 'string') return fail(threads)
  const calibrate = parseCalibrate(process.env['GPUPOOL_AGENT_CALIBRATE'])
  if (typeof calibrate === 'string') return fail(calibrate)
  const diskBudgetBytes = parseDiskGb(process.env['GPUPOOL_AGENT_DISK_GB'])
  if (typeof diskBudgetBytes === 'string') return fail(diskBudgetBytes)
  const idleUnloadMs = parseIdleUnload(process.env['GPUPOOL_AGENT_IDLE_UNLOAD_MINUTES'])
  if (typeof idleUnloadMs === 'string') return fail(idleUnloadMs)
  const engines = await readEngineSettings(process.env, name => lookup(name, { all: true }))
  if (typeof engines === 'string') return fail(engines)
  const log = createLog()
  if (typeof log === 'string') return fail(log)
  prepareStateDir(dir)
  const enrolment = readEnrolment(dir)
  if (enrolment === undefined)
    return fail(
      `this machine has not joined a pool (nothing in ${dir}); run: ${programName(buildFacts)} join LINK`,
    )
  const held = takeAgentLock(dir)
  if ('ownerPid' in held)
    return fail(`another agent runs on ${dir} (pid ${held.ownerPid ?? 'unknown'})`)
  const probe = createSystemProbe()
  const inventory = readInventory(probe, log)
  const engine = await enginePrepared(prepareEngine, {
    stateDir: dir,
    enrolment,
    inventory,
    timers: processTimers,
    log,
  })
  if ('problem' in engine) return fail(engine.problem)
  const { startEngine, startMeasuring, version: engineVersion } = engine
  const agent = await startAgent({
    dir,
    enrolment,
    inventory: await inventory,
    probe,
    startEngine,
    engineVersion,
    calibration: calibrate ? { startMeasuring } : null,
    engines,
    chosenThreads: threads,
    diskBudgetBytes,
    idleUnloadMs,
    clock: systemClock,
    wallClock,
    timers: processTimers,
    random: Math.random,
    log,
    announce: announcement => process.stdout.write(`${JSON.stringify(announcement)}\n`),
  })
  for (const signal of stopSignals)
    process.once(signal, () => {
      log.info({ signal }, 'stopping')
      agent.stop()
    })
  const exitCode = await agent.ended
  held.lock.release()
  return exitCode
}

async function readInventory(probe: GpuProbe, log: Logger): Promise<Inventory> {
  const found = await probe.inventory()
  for (const problem of found.problems) log.warn(problem)
  return await readMachine(found)
}

/** A signal during the preparation, which may be a long download, ends it. */
async function enginePrepared(
  prepareEngine: PrepareEngine,
  surroundings: Omit<EngineSurroundings, 'signal'>,
): Promise<PreparedEngine | { readonly problem: string }> {
  const stopped = new AbortController()
  const stop = () => stopped.abort()
  for (const signal of stopSignals) process.once(signal, stop)
  const prepared = await prepareEngine({ ...surroundings, signal: stopped.signal })
  for (const signal of stopSignals) process.off(signal, stop)
  return stopped.signal.aborted ? { problem: 'stopped' } : prepared
}

async function licenses(): Promise<number> {
  const texts = embeddedFile('.txt')
  if (texts === null)
    return fail(
      'the executable prints them; in a checkout each package in node_modules has its own',
    )
  try {
    await Bun.write(Bun.stdout, texts)
  } catch (error) {
    // Whoever pages through them need not read to the end.
    if (!(error instanceof Error && 'code' in error && error.code === 'EPIPE')) throw error
  }
  return exitOk
}

async function status(json: boolean, dir: string): Promise<number> {
  const running = await askStatus(localControlPath(dir))
  const identity = readEnrolment(dir)?.identity
  if (json) {
    const { apiKey: _, ...shown } = identity ?? { apiKey: null }
    const answer = { running: running !== undefined, identity: identity && shown, agent: running }
    process.stdout.write(`${JSON.stringify(answer)}\n`)
    return exitOk
  }
  if (running !== undefined) process.stdout.write(formatStatus(running))
  else process.stdout.write(`No agent is running on ${dir}.\n${formatIdentity(identity)}`)
  return exitOk
}

function leave(yes: boolean, dir: string): number {
  const enrolment = readEnrolment(dir)
  if (enrolment === undefined) return fail(`this machine has not joined a pool (nothing in ${dir})`)
  const { origin, name } = enrolment.identity
  const question = `Forget the pool ${origin} and this machine's identity "${name}"? To come back, a new join link is needed.`
  if (!yes && !process.stdin.isTTY) return fail(`${question} Say so with --yes.`)
  if (!yes && prompt(`${question} [y/N]`)?.trim().toLowerCase() !== 'y')
    return fail('nothing was changed')
  const held = takeAgentLock(dir)
  if ('ownerPid' in held)
    return fail(`the agent is running (pid ${held.ownerPid ?? 'unknown'}); stop it first`)
  removeEnrolment(dir)
  held.lock.release()
  process.stdout.write(`This machine has left ${origin}. Its models are still in ${dir}.\n`)
  return exitOk
}

/** People get coloured lines, programs JSON; both on stderr, since stdout carries the announcements. */
function createLog(): Logger | string {
  const level = process.env['GPUPOOL_LOG_LEVEL'] ?? 'info'
  if (!['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'].includes(level))
    return `GPUPOOL_LOG_LEVEL must be a level such as info or warn, not "${level}"`
  const options = { level, base: null }
  return process.stderr.isTTY
    ? pino(options, pretty({ destination: 2, sync: true, colorize: true }))
    : pino(options, pino.destination({ dest: 2, sync: true }))
}

/**
 * The agent's command line.
 * @param argv what stands behind the program's name
 * @returns the exit code
 */
export async function runCommandLine(
  argv: readonly string[],
  engine: EngineParts,
): Promise<number> {
  const command = parseCommandLine(argv)
  if ('problem' in command) {
    process.stderr.write(`${command.problem}\n\n${usage}`)
    return exitUsage
  }
  try {
    return await perform(command, defaultStateDir(process.env), engine)
  } catch (error) {
    if (error instanceof StateError) return fail(error.message)
    throw error
  }
}
