/**
 * `bun script/time-agent-start.ts [--runs N] [FILE]`: how long the agent's executable takes from its start to its first
 * heartbeat, which it sends as it says that it is online: once with an empty cache, then N times with the unpacked engine.
 * A real server on this machine; the goal is 1 s.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import os, { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { systemClock } from '../src/clock.ts'
import { Cluster } from '../test/support/cluster.ts'
import { event, Program } from '../test/support/program.ts'
import { root } from './build-agent/root.ts'
import { hostTarget } from './build-agent/targets.ts'

const { values, positionals } = parseArgs({
  options: { runs: { type: 'string', default: '10' } },
  allowPositionals: true,
})
const built = join(root, 'dist', 'agent', hostTarget()?.fileName ?? '')
const executable = resolve(positionals[0] ?? built)
const home = mkdtempSync(join(tmpdir(), 'gpupool-start-'))
const env = { PATH: '/usr/bin:/bin', HOME: home, GPUPOOL_AGENT_DIR: join(home, 'state') }
const agent = (...args: string[]) =>
  new Program('agent', args, {}, { executable, cwd: home, uid: null, env })

async function startMs(): Promise<number> {
  const begun = systemClock.now()
  const running = agent('run')
  await running.line(event('online'))
  const took = systemClock.now() - begun
  await running.stop()
  return took
}

const cluster = await Cluster.start()
try {
  const asked = { autoApprove: true }
  const { link } = await cluster.admin<{ link: string }>('POST', '/admin/join-links', asked)
  const joining = agent('join', link)
  if ((await joining.exited) !== 0) throw new Error(joining.output)
  console.log(`first start, engine unpacked: ${(await startMs()).toFixed(0)} ms`)
  const times: number[] = []
  while (times.length < Number(values.runs)) times.push(await startMs())
  const sorted = times.toSorted((a, b) => a - b)
  const median = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
  const all = times.map(each => each.toFixed(0)).join(', ')
  console.log(
    `${times.length} starts with the engine there: ${all} ms; median ${median.toFixed(0)} ms`,
  )
  console.log(`${os.cpus().length} cores, load ${os.loadavg()[0]?.toFixed(1)}`)
} finally {
  await cluster.close()
  rmSync(home, { recursive: true, force: true })
}
