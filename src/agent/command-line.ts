import { parseArgs, type ParseArgsOptionsConfig } from 'node:util'
import type { ModelsCommand } from './models/models-command.ts'

/** What a person asked for. */
export type Command =
  | {
      readonly name: 'join'
      readonly link: string
      readonly machineName: string | null
      readonly region: string | null
    }
  | { readonly name: 'run' }
  | { readonly name: 'status'; readonly json: boolean }
  | { readonly name: 'leave'; readonly yes: boolean }
  | { readonly name: 'probe'; readonly json: boolean }
  | { readonly name: 'doctor'; readonly json: boolean }
  | ({ readonly name: 'models' } & ModelsCommand)
  | { readonly name: 'models pull'; readonly model: string }
  | { readonly name: 'version' }
  | { readonly name: 'licenses' }
  | { readonly name: 'help' }

export type UsageProblem = { readonly problem: string }

export const usage = `gpupool-agent: contributes this machine to a gpupool

  join LINK [--name NAME] [--region REGION]   enrol this machine with a join link from the pool's operator
  run                                         serve the pool until stopped (Ctrl-C)
  status [--json]                             what the running agent is doing
  leave [--yes]                               forget the pool; downloaded models stay
  probe [--json]                              what this machine has, and which models fit on it
  models [--json]                             the model files here: size, hash, when they were last used
  models pull NAME                            fetch a model of the pool before somebody asks for it
  models rm NAME|SHA [--json]                 remove one that is not in use
  doctor [--json]                             what is wrong here, and what to do about it; ends with 1 if anything is
  version                                     print version, commit and protocol
  licenses                                    print the licences of everything in this program

Environment:
  GPUPOOL_AGENT_DIR         where identity and models are kept (default: the system's place for state)
  GPUPOOL_AGENT_CACHE_DIR   where the executable unpacks its engine (default: the system's place for caches)
  GPUPOOL_AGENT_THREADS     threads of each model (default: what was measured to be fastest, less what is busy)
  GPUPOOL_AGENT_DISK_GB     room for models on the disk, in GB; the longest unused make way (default: 80 % of what is free)
  GPUPOOL_AGENT_CALIBRATE   off: never measure the devices while nobody wants them (default: on)
  GPUPOOL_AGENT_IDLE_UNLOAD_MINUTES  after so long an unused model leaves memory (default: 30; 0: never)
  GPUPOOL_AGENT_ENGINE_URL  engines on this machine that you run yourself, for example http://127.0.0.1:11434/v1;
                            several with commas (default: none)
  GPUPOOL_AGENT_ENGINE_KEY  their API key (default: none)
  GPUPOOL_AGENT_ENGINE_SLOTS  requests that each of their models gets at a time (default: what it says, or 1)
  GPUPOOL_LOG_LEVEL         trace, debug, info, warn, error, fatal or silent (default: info)

Exit status: 0 done, 1 failed, 2 wrong usage, 3 the pool refuses this machine.
`

type FirstWord = Exclude<Command['name'], 'models pull'>

const optionsOf: Readonly<Record<FirstWord, ParseArgsOptionsConfig>> = {
  join: { name: { type: 'string' }, region: { type: 'string' } },
  run: {},
  status: { json: { type: 'boolean' } },
  leave: { yes: { type: 'boolean' } },
  probe: { json: { type: 'boolean' } },
  models: { json: { type: 'boolean' } },
  doctor: { json: { type: 'boolean' } },
  version: {},
  licenses: {},
  help: {},
}

const isCommandName = (text: string): text is FirstWord => Object.hasOwn(optionsOf, text)

/** Reads the arguments behind the program's name. */
export function parseCommandLine(argv: readonly string[]): Command | UsageProblem {
  const [name, ...rest] = argv
  if (name === undefined) return { problem: 'say what to do' }
  if (argv.includes('--help') || argv.includes('-h')) return { name: 'help' }
  if (name === '--version') return { name: 'version' }
  if (!isCommandName(name)) return { problem: `there is no command "${name}"` }
  try {
    const { values, positionals } = parseArgs({
      args: rest,
      options: optionsOf[name],
      allowPositionals: true,
    })
    return build(name, values, positionals)
  } catch (error) {
    return { problem: error instanceof Error ? error.message : String(error) }
  }
}

type Values = Readonly<Record<string, unknown>>

function build(
  name: FirstWord,
  values: Values,
  positionals: readonly string[],
): Command | UsageProblem {
  const [link, ...surplus] = positionals
  if (name === 'join') {
    if (link === undefined || surplus.length > 0)
      return { problem: 'join takes one link, in quotes' }
    const machineName = textOf(values['name'])
    if (machineName !== null && (machineName.length === 0 || machineName.length > 128))
      return { problem: '--name takes 1 to 128 characters' }
    const region = textOf(values['region'])
    if (region !== null && region.length > 64)
      return { problem: '--region takes 64 characters at most' }
    return { name, link, machineName, region }
  }
  if (name === 'models') return buildModels(positionals, values['json'] === true)
  if (link !== undefined) return { problem: `${name} takes no "${link}"` }
  if (name === 'status' || name === 'probe' || name === 'doctor')
    return { name, json: values['json'] === true }
  if (name === 'leave') return { name, yes: values['yes'] === true }
  return { name }
}

function buildModels(
  [verb, which, ...surplus]: readonly string[],
  json: boolean,
): Command | UsageProblem {
  if (verb === undefined) return { name: 'models', remove: null, json }
  if (verb === 'pull' && which !== undefined && surplus.length === 0 && !json)
    return { name: 'models pull', model: which }
  if (verb !== 'rm' || which === undefined || surplus.length > 0)
    return { problem: 'models takes nothing, rm and one name or hash, or pull and one name' }
  return { name: 'models', remove: which, json }
}

const textOf = (value: unknown): string | null => (typeof value === 'string' ? value : null)
