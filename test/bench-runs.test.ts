import { expect, setDefaultTimeout, test } from 'bun:test'

// All at once on two cores.
setDefaultTimeout(300_000)

/*
 * Tiny sizes: this only shows that the benchmarks still run against the real server and agent. Figures are for people
 * and quiet machines, so none is asserted, and they run side by side: most of their time is waiting. Whether nginx is at
 * hand differs, and without it `relay` says so.
 */
const exitCodes = { measured: 0, notJudged: 3, cannotRun: 4 }

type Output = {
  benchmarks: {
    name: string
    goals: unknown[]
    samples: Record<string, Record<string, { load: { failed: number; tokens: number } }>>[]
  }[]
}

type LossSample = {
  loss: string
  failed: number
  pausesMs: number[]
}

type EngineSample = {
  streams: Record<string, { gpupool: { tokens: number } }>
  prompt: { gpupool: { promptTokens: number } }
}

async function bench(args: readonly string[]) {
  const process_ = Bun.spawn([process.execPath, 'bench/main.ts', ...args, '--json', '--no-pin'], {
    cwd: new URL('..', import.meta.url).pathname,
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const [text, errors, code] = await Promise.all([
    process_.stdout.text(),
    process_.stderr.text(),
    process_.exited,
  ])
  return { text, errors, code }
}

const onLinux = process.platform === 'linux'

test.concurrent.skipIf(!onLinux)('bench relay measures every path and loses no token', async () => {
  const sizes = ['--rounds', '1', '--requests', '3', '--streams', '4', '--tokens', '4']
  const { text, errors, code } = await bench(['relay', ...sizes, '--interval', '5'])
  if (code === exitCodes.cannotRun) {
    expect(errors).toContain('nginx')
    return
  }
  expect([exitCodes.measured, exitCodes.notJudged], errors).toContain(code)
  const [relay] = (JSON.parse(text) as Output).benchmarks
  expect(relay?.goals.length).toBeGreaterThan(0)
  const paced = relay?.samples[0]?.['paced'] ?? {}
  expect(Object.keys(paced).toSorted()).toEqual(['direct', 'gpupool', 'nginx'])
  for (const { load } of Object.values(paced))
    expect(load).toMatchObject({ failed: 0, tokens: 4 * 4 })
})

test.concurrent.skipIf(!onLinux)('bench takeover loses agents, and no stream', async () => {
  const { text, errors, code } = await bench(['takeover', '--rounds', '1'])
  expect([exitCodes.measured, exitCodes.notJudged], errors).toContain(code)
  const [takeover] = (JSON.parse(text) as { benchmarks: { samples: LossSample[] }[] }).benchmarks
  const samples = takeover?.samples ?? []
  expect(samples.map(({ loss }) => loss).toSorted()).toEqual(['hang', 'kill', 'stop'])
  for (const { failed, pausesMs } of samples) {
    expect(failed).toBe(0)
    expect(pausesMs.length).toBeGreaterThan(0)
  }
})

test.concurrent.skipIf(!onLinux)(
  'bench threads compares the choice with every number of threads',
  async () => {
    const { text, errors, code } = await bench(['threads', '--rounds', '1'])
    expect([exitCodes.measured, exitCodes.notJudged], errors).toContain(code)
    const [threads] = (JSON.parse(text) as Output).benchmarks
    expect(threads?.goals.length).toBe(3)
  },
)

test.concurrent.skipIf(!onLinux)(
  'bench agents connects everybody, and every heartbeat is answered',
  async () => {
    const { text, errors, code } = await bench([
      'agents',
      '--rounds',
      '1',
      '--agents',
      '5',
      '--window',
      '1',
    ])
    expect([exitCodes.measured, exitCodes.notJudged], errors).toContain(code)
    const [agents] = (JSON.parse(text) as Output).benchmarks
    const sides = agents?.samples[0] ?? {}
    expect(Object.keys(sides).toSorted()).toEqual(['gpupool', 'plain'])
  },
)

test.concurrent.skipIf(!onLinux)('bench engine measures the built-in worker', async () => {
  const sizes = ['--rounds', '1', '--streams', '2', '--tokens', '4', '--prompt', '400']
  const model = ['--model', 'models/demo/gpupool-demo.gguf']
  const { text, errors, code } = await bench(['engine', ...sizes, ...model])
  expect([exitCodes.measured, exitCodes.notJudged], errors).toContain(code)
  const [engine] = (JSON.parse(text) as { benchmarks: { samples: EngineSample[] }[] }).benchmarks
  const { streams, prompt } = engine?.samples[0] ?? {}
  expect(streams?.['2']?.gpupool.tokens).toBe(2 * 4)
  expect(prompt?.gpupool.promptTokens).toBeGreaterThan(100)
})

test.concurrent.skipIf(!onLinux)(
  'bench scheduler takes decisions, and others from the line',
  async () => {
    const { text, errors, code } = await bench(['scheduler', '--rounds', '1', '--agents', '300'])
    expect([exitCodes.measured, exitCodes.notJudged], errors).toContain(code)
    const [scheduler] = (JSON.parse(text) as { benchmarks: { samples: object[] }[] }).benchmarks
    expect(scheduler?.samples).toEqual([
      expect.objectContaining({ decisionNs: expect.any(Number), plainNs: expect.any(Number) }),
      expect.objectContaining({ handOverNs: expect.any(Number) }),
    ])
  },
)

test.concurrent.skipIf(!onLinux)(
  'bench policies gives the same figures for the same seed',
  async () => {
    const once = () => bench(['policies', '--rounds', '1', '--seed', '3'])
    const [one, other] = await Promise.all([once(), once()])
    const samplesOf = ({ text }: { text: string }) =>
      (JSON.parse(text) as { benchmarks: { samples: object[] }[] }).benchmarks[0]?.samples
    expect(samplesOf(one)).toEqual(samplesOf(other))
    expect(samplesOf(one)).toHaveLength(4)
  },
)
