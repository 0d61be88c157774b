/**
 * `bun run build:agent`: makes the agent's executable for this machine, or with `--target` for others, into dist/agent,
 * where the server finds it and offers it at /download/.
 */
import { statSync } from 'node:fs'
import { join, relative } from 'node:path'
import { parseArgs } from 'node:util'
import { systemClock } from '../src/clock.ts'
import { compileAgent } from './build-agent/compile-agent.ts'
import { buildCudaPack, readCudaPin } from './build-agent/cuda-pack.ts'
import { root } from './build-agent/root.ts'
import { hostTarget, targets, type Target } from './build-agent/targets.ts'

const usage = `usage: bun run build:agent [--target NAME]… [--all] [--cuda] [--out FOLDER] [--level N]

  --target NAME   ${targets.map(target => target.name).join(', ')} (default: this machine)
  --all           every target
  --cuda          first pack the CUDA libraries, so that the executables know them by their hash
  --out FOLDER    where the files go (default: dist/agent)
  --level N       zstd level of what is packed, 1 to 19 (default: 19)
`

async function timed<Result>(
  what: string,
  path: (result: Result) => string,
  work: () => Promise<Result>,
) {
  const begun = systemClock.now()
  const result = await work()
  const megabytes = (statSync(path(result)).size / 1e6).toFixed(1)
  const seconds = ((systemClock.now() - begun) / 1000).toFixed(1)
  console.log(`${what}: ${relative(process.cwd(), path(result))}, ${megabytes} MB (${seconds} s)`)
  return result
}

function chosenTargets(names: readonly string[], all: boolean): readonly Target[] | string {
  if (all) return targets
  if (names.length === 0) {
    const host = hostTarget()
    return host === undefined
      ? `there is no target for ${process.platform}-${process.arch}`
      : [host]
  }
  const unknown = names.find(name => !targets.some(target => target.name === name))
  if (unknown !== undefined) return `there is no target "${unknown}"`
  return targets.filter(target => names.includes(target.name))
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      target: { type: 'string', multiple: true, default: [] },
      all: { type: 'boolean', default: false },
      cuda: { type: 'boolean', default: false },
      out: { type: 'string', default: join(root, 'dist', 'agent') },
      level: { type: 'string', default: '19' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  if (values.help) {
    process.stdout.write(usage)
    return 0
  }
  const chosen = chosenTargets(values.target, values.all)
  const level = Number(values.level)
  if (typeof chosen === 'string' || !(level >= 1 && level <= 19)) {
    process.stderr.write(`${typeof chosen === 'string' ? `${chosen}\n\n` : ''}${usage}`)
    return 2
  }
  const outDir = values.out
  for (const target of chosen)
    if (values.cuda && target.cudaWorkspace !== null)
      await timed(
        `CUDA libraries for ${target.name}`,
        pin => join(outDir, pin.fileName),
        () => buildCudaPack(target, outDir, level),
      )
  for (const target of chosen) {
    const cuda = readCudaPin(target, outDir)
    if (cuda === null && target.cudaWorkspace !== null)
      console.log(`note: ${target.name} is built without CUDA; run with --cuda to pack it first`)
    await timed(
      target.name,
      agent => agent.path,
      () => compileAgent({ target, outDir, level, cuda }),
    )
  }
  return 0
}

process.exitCode = await main()
