import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test'
import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { compileAgent, type CompiledAgent } from '../script/build-agent/compile-agent.ts'
import { readCudaPin } from '../script/build-agent/cuda-pack.ts'
import { makePack, sha256Hex } from '../script/build-agent/make-pack.ts'
import { hostTarget } from '../script/build-agent/targets.ts'
import type { CudaPin } from '../src/agent/executable/build-facts.ts'
import { Cluster } from './support/cluster.ts'
import { HeldLine } from './support/held-line.ts'
import { event, Program } from './support/program.ts'

/**
 * Folder of `npm run build:agent -- --cuda`, to do this with the real libraries. Without it they are random bytes: what
 * the agent does with the pack is the same, and without a driver nobody loads them.
 */
const realPack = process.env['GPUPOOL_TEST_CUDA_PACK_DIR']
const realPackDir = realPack === undefined ? null : resolve(realPack)
const standInBytes = 8_000_000
const target = hostTarget()
/** The first build in a checkout fetches 70 MB of packages. */
const buildTimeoutMs = 300_000
const recorded = new URL('../src/gpu/fixtures/nvidia/570-rtx-3060.xml', import.meta.url).pathname

describe.skipIf(target === undefined || target.cudaWorkspace === null)('an NVIDIA GPU', () => {
  let folder: string
  let cluster: Cluster
  let line: HeldLine
  let pin: CudaPin
  let built: CompiledAgent

  beforeAll(async () => {
    if (target === undefined) throw new Error('there is no executable for this machine')
    folder = mkdtempSync(join(tmpdir(), 'gpupool-cuda-'))
    const packDir = realPackDir ?? join(folder, 'download')
    const found = realPackDir === null ? await makeStandIn(packDir) : readCudaPin(target, packDir)
    if (found === null) throw new Error(`${packDir} has no CUDA pack for ${target.name}`)
    pin = found
    const compiling = compileAgent({ target, outDir: join(folder, 'bin'), level: 1, cuda: pin })
    const starting = Cluster.start({ GPUPOOL_DOWNLOAD_DIR: packDir })
    ;[cluster, built] = await Promise.all([starting, compiling])
    await cluster.addDemoModel()
    line = await HeldLine.to(Number(new URL(cluster.ready.enrolUrl).port))
    mkdirSync(join(folder, 'programs'))
    const nvidiaSmi = join(folder, 'programs', 'nvidia-smi')
    writeFileSync(nvidiaSmi, `#!/bin/sh\nexec /bin/cat '${recorded}'\n`)
    chmodSync(nvidiaSmi, 0o755)
    mkdirSync(join(folder, 'runtime'))
    for (const name of ['libcudart.so.13', 'libcublas.so.13', 'libcublasLt.so.13'])
      writeFileSync(join(folder, 'runtime', name), '')
  }, buildTimeoutMs)
  afterAll(async () => {
    await line.close()
    await cluster.close()
    rmSync(folder, { recursive: true, force: true })
  })

  const programs: Program[] = []
  afterEach(async () => {
    for (const program of programs.splice(0)) await program.kill()
    line.letGo()
  })

  const makeStandIn = async (dir: string): Promise<CudaPin> => {
    const library = randomBytes(standInBytes)
    const { archive, manifestSha256 } = await makePack(new Map([['lib.so', library]]), 1)
    const fileName = `runtime-${target?.name}-cuda-0.0.0.tar.zst`
    mkdirSync(dir)
    writeFileSync(join(dir, fileName), archive)
    return { fileName, sizeBytes: archive.length, sha256: sha256Hex(archive), manifestSha256 }
  }

  const cache = (name: string) => join(folder, name, 'cache')
  const agent = (name: string, args: readonly string[], hasRuntime = true): Program => {
    const cwd = join(folder, name)
    mkdirSync(cwd, { recursive: true })
    const env = {
      PATH: join(folder, 'programs'),
      HOME: cwd,
      GPUPOOL_AGENT_DIR: join(cwd, 'state'),
      GPUPOOL_AGENT_CACHE_DIR: cache(name),
      GPUPOOL_AGENT_THREADS: '1',
      ...(hasRuntime && { LD_LIBRARY_PATH: join(folder, 'runtime') }),
    }
    const program = new Program(name, args, {}, { executable: built.path, cwd, uid: null, env })
    programs.push(program)
    return program
  }
  const enrol = async (name: string): Promise<void> => {
    const asked = { autoApprove: true }
    const made = await cluster.admin<{ link: string }>('POST', '/admin/join-links', asked)
    const link = new URL(made.link)
    link.port = String(line.port)
    const joining = agent(name, ['join', link.href, '--name', name])
    if ((await joining.exited) !== 0) throw new Error(joining.output)
  }
  const cudaIn = (name: string) =>
    readdirSync(cache(name)).filter(each => /^cuda-[0-9a-f]+$/.test(each))
  const partPath = (name: string) => join(cache(name), `${pin.sha256.slice(0, 16)}.part`)

  test('brings the libraries: once, on from where a killed agent stopped, verified', async () => {
    await enrol('desk')
    line.holdAfter(pin.sizeBytes / 2)
    const first = agent('desk', ['run'])
    await first.line(said => /CUDA libraries: [1-4]\d %/.test(said))
    await first.kill()
    await line.empty()
    const gotBytes = statSync(partPath('desk')).size
    expect(gotBytes).toBeGreaterThan(pin.sizeBytes / 20)
    expect(gotBytes).toBeLessThan(pin.sizeBytes)
    expect(cudaIn('desk')).toEqual([])

    line.letGo()
    const second = agent('desk', ['run'])
    await second.line(event('online'))
    expect(second.output).toContain('"best":"cuda"')
    expect(cudaIn('desk')).toEqual([`cuda-${pin.manifestSha256.slice(0, 16)}`])
    expect(existsSync(partPath('desk'))).toBe(false)
    // TLS adds less than a hundredth.
    expect(line.passedBytes).toBeLessThan((pin.sizeBytes - gotBytes) * 1.01 + 100_000)
    expect(await cluster.ask('What is a GPU pool?')).toContain('GPU')
    await second.stop()

    const third = agent('desk', ['run'])
    await third.line(event('online'))
    expect(third.output).toContain('"best":"cuda"')
    expect(third.output).not.toContain('fetching')
  })

  test('without NVIDIA’s runtime brings a word about it, and nothing is fetched', async () => {
    await enrol('laptop')
    const laptop = agent('laptop', ['run'], false)
    await laptop.line(event('online'))
    expect(laptop.output).toContain("NVIDIA's CUDA runtime is not installed")
    expect(laptop.output).not.toContain('fetching')
    expect(cudaIn('laptop')).toEqual([])
  })
})
