import { mkdir } from 'node:fs/promises'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Beaten, CrowdOrder, CrowdTarget } from './agents/crowd-order.ts'
import {
  agentsReport,
  type AgentsRound,
  type AgentsSample,
  type AgentsSide,
} from './agents/report.ts'
import { BenchProcess } from './harness/bench-process.ts'
import { CannotRun, type Benchmark, type Context } from './harness/context.ts'
import { MachineWatch } from './harness/machine.ts'
import { cpuBetween, readCpu, readMemory } from './harness/process-usage.ts'
import { shuffled } from './harness/random.ts'
import { ServerProcess } from './harness/server-process.ts'

const roundsDefault = 3
/** Connected before anything is measured, so that code and tables that everybody shares are not put on the first. */
const firstFew = 20
/** Each agent beats this often while heartbeats are measured: as often as the server writes them to its database. */
const beatEveryMaxMs = 5_000
/** What connecting leaves to be done: the server writes it to its database every 5 s. */
const settleMaxMs = 6_000
/** Then work is over when a second takes less than this share of a CPU, or has not settled after so long. */
const settledShare = 0.05
const settledWithinMs = 60_000
/** After a collection, until the allocator has given freed pages back. */
const pagesReturnedMs = 500
/** Descriptors of a server beside its connections. */
const descriptorsBeside = 256

export const agents: Benchmark = {
  name: 'agents',
  question: 'what does an agent that is merely connected cost the server?',
  run: async context => {
    checkDescriptors(context.settings.agents)
    const watch = new MachineWatch(context.loadAverageBefore)
    const crowd = new BenchProcess({
      name: 'crowd',
      args: ['bench/agents/crowd.ts'],
      env: {},
      folder: context.folder,
      cpu: context.cpus.others,
    })
    try {
      await enrolAll(context, crowd)
      const rounds = await measureRounds(context, watch, crowd)
      return agentsReport(context.settings, rounds, watch.quiet)
    } finally {
      await crowd.stop()
    }
  },
}

async function enrolAll({ folder, cpus, settings, progress }: Context, crowd: BenchProcess) {
  const count = settings.agents + firstFew
  progress(`agents: enrolling ${count} machines`)
  const server = await startPool({ folder, cpu: cpus.measured })
  await order(crowd, { event: 'enrol', link: await server.joinLink(count), count })
  await server.process.stop()
}

async function measureRounds(
  context: Context,
  watch: MachineWatch,
  crowd: BenchProcess,
): Promise<readonly AgentsRound[]> {
  const total = context.settings.rounds ?? roundsDefault
  const rounds: AgentsRound[] = []
  for (let number = 1; number <= total; number++) {
    const round = new Map<AgentsSide, AgentsSample>()
    for (const side of shuffled<AgentsSide>(['plain', 'gpupool'], context.random)) {
      context.progress(`agents: round ${number} of ${total}, ${side}`)
      const { server, target } = await startSide(side, context)
      const pids = [server.pid, crowd.pid]
      round.set(side, await watch.during(pids, () => measureSide(context, server, crowd, target)))
      await order(crowd, { event: 'close' })
      await server.stop()
    }
    rounds.push(round)
  }
  return rounds
}

type Side = { readonly server: BenchProcess; readonly target: CrowdTarget }

async function startSide(side: AgentsSide, { folder, cpus }: Context): Promise<Side> {
  if (side === 'gpupool') {
    const { process: server, controlPort } = await startPool({ folder, cpu: cpus.measured })
    return { server, target: { kind: 'pool', controlPort } }
  }
  const dataDir = join(folder, 'plain')
  await mkdir(dataDir, { recursive: true })
  const server = new BenchProcess({
    name: 'plain-server',
    args: ['bench/agents/plain-server.ts'],
    env: { BENCH_DATA_DIR: dataDir },
    folder,
    cpu: cpus.measured,
  })
  const { port, caPem } = await server.next<{ port: number; caPem: string }>('ready')
  return { server, target: { kind: 'plain', port, caPem } }
}

const startPool = (where: { folder: string; cpu: number | null }): Promise<ServerProcess> =>
  ServerProcess.start({ entry: 'bench/agents/pool-server.ts', ...where })

async function measureSide(
  { settings }: Context,
  server: BenchProcess,
  crowd: BenchProcess,
  target: CrowdTarget,
): Promise<AgentsSample> {
  const { agents: count, windowS } = settings
  const windowMs = windowS * 1_000
  const everyMs = Math.min(beatEveryMaxMs, windowMs)
  const settleMs = Math.min(settleMaxMs, windowMs / 2)
  await order(crowd, { event: 'connect', to: target, count: firstFew })
  await settled(server, settleMs)
  const memoryBefore = await memoryCollected(server)
  const cpuBefore = readCpu(server.pid)
  const startedAt = performance.now()
  await order(crowd, { event: 'connect', to: target, count: count + firstFew })
  const connectWallMs = performance.now() - startedAt
  await settled(server, settleMs)
  const connecting = cpuBetween(cpuBefore, readCpu(server.pid))
  const { rssBytes } = readMemory(server.pid)
  const memoryAfter = await memoryCollected(server)
  const idleUs = await cpuDuring(server, () => Bun.sleep(windowMs))
  let beaten: Beaten = { sent: 0, acknowledged: 0 }
  const beatingUs = await cpuDuring(server, async () => {
    beaten = await order<Beaten>(crowd, { event: 'beat', everyMs, forMs: windowMs })
  })
  return {
    pssBytesPerAgent: (memoryAfter - memoryBefore) / count,
    rssBytes,
    connectUsPerAgent: connecting.totalUs / count,
    connectWallMs,
    idleShare: idleUs / (windowMs * 1_000),
    heartbeatUs: (beatingUs - idleUs) / Math.max(1, beaten.sent),
    heartbeatsUnanswered: beaten.sent - beaten.acknowledged,
  }
}

async function cpuDuring(server: BenchProcess, act: () => Promise<void>): Promise<number> {
  const before = readCpu(server.pid)
  await act()
  return cpuBetween(before, readCpu(server.pid)).totalUs
}

/** Waits until the server has done what connecting left to be done. */
async function settled(server: BenchProcess, atLeastMs: number): Promise<void> {
  await Bun.sleep(atLeastMs)
  const windowMs = Math.min(1_000, atLeastMs)
  for (let waitedMs = 0; waitedMs < settledWithinMs; waitedMs += windowMs) {
    const us = await cpuDuring(server, () => Bun.sleep(windowMs))
    if (us / (windowMs * 1_000) < settledShare) return
  }
}

async function memoryCollected(server: BenchProcess): Promise<number> {
  await server.ask({ event: 'collect' })
  await Bun.sleep(pagesReturnedMs)
  return readMemory(server.pid).pssBytes
}

async function order<Answer>(crowd: BenchProcess, what: CrowdOrder): Promise<Answer> {
  return await crowd.ask<Answer>(what)
}

/** @throws CannotRun when the system allows fewer open files than there will be connections */
function checkDescriptors(count: number): void {
  const line = /^Max open files\s+\d+\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))
  const allowed = Number(line?.[1] ?? Infinity)
  const needed = count + firstFew + descriptorsBeside
  if (allowed >= needed) return
  throw new CannotRun(
    `${count} agents need ${needed} open files, the limit is ${allowed}; raise it (ulimit -n ${needed}) or say --agents`,
  )
}
