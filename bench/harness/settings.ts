import { parseArgs } from 'node:util'

/** Everything that the command line can choose. */
export type Settings = {
  readonly benchmarks: readonly string[]
  /** Null: each benchmark's own number. */
  readonly rounds: number | null
  readonly seed: number
  readonly json: boolean
  readonly force: boolean
  readonly pin: boolean
  readonly requests: number
  readonly streams: number
  readonly tokens: number
  readonly intervalMs: number
  readonly agents: number
  readonly windowS: number
  /** Tokens of a long prompt, roughly. */
  readonly prompt: number
  /** A GGUF file; null: the benchmark writes one. */
  readonly model: string | null
  readonly llamaServer: string | null
}

const numbers = {
  rounds: { min: 1, max: 1_000 },
  seed: { min: 0, max: 2 ** 32 - 1 },
  requests: { min: 1, max: 10_000 },
  streams: { min: 1, max: 4_096 },
  tokens: { min: 2, max: 4_096 },
  interval: { min: 1, max: 1_000 },
  agents: { min: 1, max: 100_000 },
  window: { min: 1, max: 600 },
  prompt: { min: 1, max: 100_000 },
} as const

export const settingsHelp = `options
  --rounds N     rounds (relay 7, takeover 10, agents 3, threads 3, engine 2,
                 scheduler 5, policies 3)
  --seed N       order of the rounds; printed, so that a run can be repeated
  --json         raw figures of every round on standard output
  --force        judge the figures even if the machine is busy
  --no-pin       leave it to the kernel which CPU runs what

  relay
    --requests N   requests a round for the time to first token [60]
    --streams N    concurrent streams for CPU per token [300]
    --tokens N     tokens of each stream [64]
    --interval MS  one token of a stream every so often [20]

  agents
    --agents N     connected agents [1000]
    --window S     seconds of each CPU measurement [10]

  engine
    --llama-server PATH  llama.cpp's own server, of the release that node-llama-cpp has inside
    --model PATH         a GGUF file [random weights]
    --prompt N           letters of the long prompt: tokens of the random model [4000]
    --streams N          1, 2, 4, 8, 16 streams at once, up to so many
    --tokens N           tokens of each answer [64]`

/** @returns the settings, `help`, or what is wrong with the arguments */
export function parseSettings(
  args: readonly string[],
  known: readonly string[],
): Settings | 'help' | { readonly problem: string } {
  const parsed = parse(args)
  if ('problem' in parsed) return parsed
  const { values, positionals } = parsed
  if (values.help === true) return 'help'
  const unknown = positionals.find(name => !known.includes(name))
  if (unknown !== undefined) return { problem: `there is no benchmark called ${unknown}` }
  for (const [name, { min, max }] of Object.entries(numbers)) {
    const text = values[name as keyof typeof numbers]
    const value = Number(text)
    if (text !== undefined && !(Number.isInteger(value) && value >= min && value <= max))
      return { problem: `--${name} is a whole number from ${min} to ${max}, not ${text}` }
  }
  const number = (text: string | undefined, otherwise: number) =>
    text === undefined ? otherwise : Number(text)
  return {
    benchmarks: positionals.length === 0 ? known : positionals,
    rounds: values.rounds === undefined ? null : Number(values.rounds),
    seed: number(values.seed, crypto.getRandomValues(new Uint32Array(1))[0] ?? 0),
    json: values.json ?? false,
    force: values.force ?? false,
    pin: values['no-pin'] !== true,
    requests: number(values.requests, 60),
    streams: number(values.streams, 300),
    tokens: number(values.tokens, 64),
    intervalMs: number(values.interval, 20),
    agents: number(values.agents, 1_000),
    windowS: number(values.window, 10),
    prompt: number(values.prompt, 4_000),
    model: values.model ?? null,
    llamaServer: values['llama-server'] ?? null,
  }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        help: { type: 'boolean', short: 'h' },
        json: { type: 'boolean' },
        force: { type: 'boolean' },
        'no-pin': { type: 'boolean' },
        rounds: { type: 'string' },
        seed: { type: 'string' },
        requests: { type: 'string' },
        streams: { type: 'string' },
        tokens: { type: 'string' },
        interval: { type: 'string' },
        agents: { type: 'string' },
        window: { type: 'string' },
        prompt: { type: 'string' },
        model: { type: 'string' },
        'llama-server': { type: 'string' },
      },
    })
  } catch (error) {
    return { problem: error instanceof Error ? error.message : String(error) }
  }
}
