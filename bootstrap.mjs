/**
 * What `npm start`, `npm test` and the other package scripts run: makes sure of the pinned Bun and of the
 * dependencies, then hands over to the TypeScript side. Plain JavaScript without dependencies, because it runs
 * before there are any; on Node 20 or later, or on any Bun.
 */
import { readFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  childEnvironment,
  handOver,
  Interrupted,
  listenForSignals,
} from './script/bootstrap/child.mjs'
import { ensureBun, findBun } from './script/bootstrap/bun.mjs'
import { dependenciesReady, ensureDependencies } from './script/bootstrap/dependencies.mjs'
import { withInstallLock } from './script/bootstrap/install-lock.mjs'
import { explain, Problem } from './script/bootstrap/problem.mjs'

const root = dirname(fileURLToPath(import.meta.url))

const commands = {
  start: 'src/start/start.ts',
  test: 'script/test.ts',
  server: 'src/server/main.ts',
  admin: 'src/admin/main.ts',
  agent: 'src/agent/main.ts',
  'build-agent': 'script/build-agent.ts',
  'check-agents': 'script/check-agent-targets.ts',
  simulate: 'simulator/main.ts',
}

async function main([command = '', ...args]) {
  const entry = Object.hasOwn(commands, command) ? commands[command] : undefined
  if (entry === undefined)
    throw new Problem(`usage: node bootstrap.mjs ${Object.keys(commands).join('|')} [arguments]`)
  if (!process.versions.bun && Number.parseInt(process.versions.node, 10) < 20)
    throw new Problem(`Node ${process.versions.node} is too old; install Node 20 or later, or Bun.`)

  const project = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const want = { root, project, forTests: command === 'test' }
  let bun = findBun(want)
  // Ready is the usual case and writes nothing, so a read-only checkout that was once installed still runs.
  if (bun === undefined || !dependenciesReady(want))
    bun = await withInstallLock(root, async () => {
      const found = await ensureBun(want)
      await ensureDependencies({ ...want, bun: found })
      return found
    })
  // --no-orphans: should this process be killed outright, nothing that it started outlives it.
  return handOver(bun, ['--no-orphans', join(root, entry), ...args], {
    cwd: root,
    env: {
      ...childEnvironment(),
      PATH: `${dirname(bun)}${delimiter}${process.env.PATH ?? ''}`,
    },
  })
}

listenForSignals()
try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  process.exitCode = error instanceof Interrupted ? error.exitCode : 1
  if (!(error instanceof Interrupted)) process.stderr.write(`gpupool: ${explain(error, root)}\n`)
}
