import { countOption, jsonOption, list, textOption, type Command } from '../command.ts'
import { modelSource } from '../model-source.ts'
import { formatTable } from '../table.ts'

type Model = {
  readonly name: string
  readonly sizeBytes: number
  readonly kind: string
  readonly quantisation: string | null
  readonly contextTokens: number
  readonly slots: number
  readonly pinned: boolean
  readonly idleUnloadMs: number | null
}

const gibibytes = (bytes: number): string =>
  bytes < 1024 ** 3
    ? `${Math.ceil(bytes / 1024 ** 2)} MiB`
    : `${(bytes / 1024 ** 3).toFixed(1)} GiB`

/** A name may hold slashes. */
const pathOf = (name: string): string => `/admin/models/${encodeURIComponent(name)}`

const agentsOf = (count: number): string => `${count} ${count === 1 ? 'machine' : 'machines'}`

function staysText({ pinned, idleUnloadMs }: Model): string {
  if (pinned) return 'pinned'
  if (idleUnloadMs === 0) return 'until needed'
  return idleUnloadMs === null ? '-' : `${Math.round(idleUnloadMs / 60_000)} min`
}

export const modelCommands: readonly Command[] = [
  {
    name: 'models add',
    args: ['NAME', 'PATH|URL|hf:ORG/REPO/FILE|external:MODEL_ID'],
    options: {
      context: {
        type: 'string',
        value: 'N',
        what: 'tokens per request (8192, vectors 2048, or less)',
      },
      slots: {
        type: 'string',
        value: 'N',
        what: 'requests at a time on one machine (4, vectors 1)',
      },
      'min-dimensions': {
        type: 'string',
        value: 'N',
        what: 'its vectors may be cut to so many values (not at all)',
      },
      pin: { type: 'boolean', what: 'keep it in memory wherever it is loaded' },
    },
    summary: 'put a model into the catalogue',
    examples: [
      'models add llama-3.1-8b ./llama-3.1-8b-q4.gguf',
      'models add qwen hf:Qwen/Qwen2.5-0.5B-Instruct-GGUF/qwen2.5-0.5b-instruct-q4_k_m.gguf',
      'models add llama3.1 external:llama3.1:8b',
    ],
    async run(invocation) {
      const [name = '', written = ''] = invocation.args
      const source = modelSource(written, invocation.workingDir)
      if ('problem' in source) return { ...source, wrongUsage: true }
      const contextTokens = countOption(invocation, 'context')
      if (contextTokens !== null && typeof contextTokens !== 'number') return contextTokens
      const slots = countOption(invocation, 'slots')
      if (slots !== null && typeof slots !== 'number') return slots
      const embeddingDimensionsMin = countOption(invocation, 'min-dimensions')
      if (embeddingDimensionsMin !== null && typeof embeddingDimensionsMin !== 'number')
        return embeddingDimensionsMin
      const isExternal = source.source.startsWith('external:')
      if (!isExternal)
        invocation.output.note('Reading the file; a download or a large one takes minutes …\n')
      const answer = await invocation.api.post<Model>('/admin/models', {
        name,
        ...source,
        contextTokens,
        slots,
        embeddingDimensionsMin,
        pinned: invocation.options['pin'] === true,
      })
      if ('problem' in answer) return answer
      const model = answer.body
      invocation.output.out(`${model.name}\n`)
      invocation.output.note(
        isExternal
          ? `Served by agents whose own engine offers it, ${model.contextTokens} tokens per request.\n`
          : `${gibibytes(model.sizeBytes)}, ${model.slots} slots of ${model.contextTokens} tokens.\n`,
      )
      return null
    },
  },
  {
    name: 'models ls',
    args: [],
    options: jsonOption,
    summary: 'list the catalogue',
    examples: ['models ls', 'models ls --json'],
    async run(invocation) {
      const answer = await invocation.api.get<{ data: readonly Model[] }>('/admin/models')
      if ('problem' in answer) return answer
      return list(invocation, answer.body.data, models =>
        formatTable(
          ['NAME', 'KIND', 'SIZE', 'QUANT', 'CONTEXT', 'SLOTS', 'STAYS'],
          models.map(model => [
            model.name,
            model.kind,
            model.sizeBytes === 0 ? 'external' : gibibytes(model.sizeBytes),
            model.quantisation ?? '-',
            String(model.contextTokens),
            String(model.slots),
            staysText(model),
          ]),
        ),
      )
    },
  },
  {
    name: 'models load',
    args: ['NAME'],
    options: { agent: { type: 'string', value: 'ID', what: 'only there (everywhere it fits)' } },
    summary: 'load a model before it is asked for',
    examples: ['models load llama-3.1-8b'],
    async run(invocation) {
      const [name = ''] = invocation.args
      const agentId = textOption(invocation, 'agent')
      const answer = await invocation.api.post<{ agents: number; later?: number }>(
        `${pathOf(name)}/load`,
        {
          agentId,
        },
      )
      if ('problem' in answer) return answer
      const { agents, later = 0 } = answer.body
      invocation.output.note(
        later > 0
          ? `The machine is away; it loads ${name} when it is back.\n`
          : `${name} is loaded, or being loaded, on ${agentsOf(agents)}.\n`,
      )
      return null
    },
  },
  {
    name: 'models unload',
    args: ['NAME'],
    options: {},
    summary: 'unload a model everywhere',
    examples: ['models unload llama-3.1-8b'],
    async run({ api, args, output }) {
      const [name = ''] = args
      const answer = await api.post<{ agents: number }>(`${pathOf(name)}/unload`)
      if ('problem' in answer) return answer
      output.note(`${name} was unloaded on ${agentsOf(answer.body.agents)}.\n`)
      return null
    },
  },
  {
    name: 'models rm',
    args: ['NAME'],
    options: {},
    summary: 'take a model out of the catalogue',
    examples: ['models rm llama-3.1-8b'],
    async run({ api, args, output }) {
      const [name = ''] = args
      const answer = await api.delete(pathOf(name))
      if ('problem' in answer) return answer
      output.note(`${name} is removed.\n`)
      return null
    },
  },
]
