import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { planLoad } from '../../src/agent/model-need.ts'
import { limits } from '../../src/protocol/limits.ts'
import type { Load } from '../../src/protocol/server-message.ts'
import { demoModelPath } from './cluster.ts'
import { RealHost } from './real-host.ts'

export type CrowdOutcome = {
  /** Answers by model and question, and how often each text came. */
  readonly answers: ReadonlyMap<string, ReadonlyMap<string, number>>
  readonly loads: number
  /** Requests that came when their model was just gone, and were sent again. */
  readonly sentAgain: number
  readonly endedInUse: number
  readonly workersMax: number
  readonly workersLeft: number
  /** Of this process, between the end of the first fifth and the end. */
  readonly rssGrowthBytes: number
}

const models = 5
const fitting = 2
const requestsAtOnce = 6
const serving = { contextTokens: 512, slots: 2 }
const questions = ['What is a GPU pool?', 'Who are you?', 'Tell me a short story.'] as const

/**
 * Random requests to five models on a real host whose memory holds two, with real workers. What the server does is done
 * here in short: a model that is gone is ordered again, and all requests for it join that order.
 */
export async function crowdMemory(requests: number, seed: number): Promise<CrowdOutcome> {
  const dir = mkdtempSync(join(tmpdir(), 'gpupool-crowd-'))
  const paths = Array.from({ length: models }, (_, number) => copyOfDemo(dir, number))
  const real: RealHost = new RealHost(dir, { availableBytes: budget(() => real.engines.size) })
  const crowd = new Crowd(real, paths, seed)
  try {
    const warmUp = Math.floor(requests / 5)
    await crowd.run(warmUp)
    const before = settledRss()
    await crowd.run(requests - warmUp)
    const rssGrowthBytes = settledRss() - before
    await real.host.close()
    const { answers, loads, sentAgain } = crowd
    const { endedInUse, enginesMax: workersMax, engines } = real
    return {
      answers,
      loads,
      sentAgain,
      endedInUse,
      workersMax,
      workersLeft: engines.size,
      rssGrowthBytes,
    }
  } finally {
    await real.host.close()
    rmSync(dir, { recursive: true, force: true })
  }
}

class Crowd {
  readonly answers = new Map<string, Map<string, number>>()
  loads = 0
  sentAgain = 0
  readonly #real: RealHost
  readonly #paths: readonly string[]
  readonly #orders = new Map<string, Load>()
  #state: number

  constructor(real: RealHost, paths: readonly string[], seed: number) {
    this.#real = real
    this.#paths = paths
    this.#state = seed
  }

  async run(requests: number): Promise<void> {
    let left = requests
    const client = async () => {
      while (left-- > 0) await this.#request()
    }
    await Promise.all(Array.from({ length: requestsAtOnce }, client))
  }

  async #request(): Promise<void> {
    const path = this.#paths[this.#random(this.#paths.length)] ?? ''
    const question = questions[this.#random(questions.length)] ?? ''
    for (;;) {
      const end = await this.#real.ask(this.#order(path), question, 24)
      if ('failed' in end && end.failed === 'model_unloaded') {
        this.sentAgain++
        continue
      }
      const text = 'text' in end ? end.text : `failed: ${end.failed}`
      const seen = this.answers.get(question) ?? new Map<string, number>()
      this.answers.set(question, seen)
      seen.set(text, (seen.get(text) ?? 0) + 1)
      return
    }
  }

  #order(path: string): Load {
    const known = this.#orders.get(path)
    const state = known === undefined ? 'unloaded' : this.#real.stateOf(known)?.state
    if (known !== undefined && (state === 'loading' || state === 'ready')) return known
    this.loads++
    const load = this.#real.order(path, serving)
    this.#orders.set(path, load)
    return load
  }

  #random(below: number): number {
    this.#state = (Math.imul(this.#state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((this.#state / 2 ** 32) * below)
  }
}

/** The demo model under another hash: a character of a text in its header that nobody reads. */
function copyOfDemo(dir: string, number: number): string {
  const bytes = readFileSync(demoModelPath)
  const at = bytes.indexOf('gpupool-demo', bytes.indexOf('general.name'))
  bytes.write(String(number), at, 'latin1')
  const path = join(dir, `model-${number}.gguf`)
  writeFileSync(path, bytes)
  return path
}

/** Memory that holds two and a half of these models; weights are mapped, which the system calls available. */
function budget(workers: () => number): () => number {
  const { mainBytes } = planLoad(demoModelPath, serving, { state: 'none' })
  if (mainBytes === null) throw new Error('the need of the demo model is not known')
  const ownBytes = mainBytes - readFileSync(demoModelPath).length
  const totalBytes = (fitting + 0.5) * mainBytes + limits.memoryHeadroomMb * 1024 ** 2
  return () => totalBytes - workers() * ownBytes
}

function settledRss(): number {
  Bun.gc(true)
  return process.memoryUsage().rss
}
