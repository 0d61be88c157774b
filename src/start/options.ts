export type Options =
  | { readonly type: 'help' }
  | { readonly type: 'wrong'; readonly message: string }
  /** `once`: the prompt to answer before everything stops again; null stays up. */
  | { readonly type: 'run'; readonly once: string | null }

export const helpText = `npm start                          server, one agent and the demo model on this machine; stays up until Ctrl-C
npm start -- --once "PROMPT"       answers the prompt on stdout, stops everything again, exits 0
npm start -- --help                this text

Settings are those of the server and come from the environment; \`bun run server --help\` lists them. The usual ones:
  GPUPOOL_PORT         8080         API
  GPUPOOL_AGENT_PORT   8443         agents; the port after it is for enrolment
  GPUPOOL_DATA_DIR     ./.gpupool   database, keys, the agent's identity, logs/server.log and logs/agent.log

--once takes free ports and a data directory of its own (once-PID in GPUPOOL_DATA_DIR, removed at the end), so it works beside
a running pool and beside other --once runs. It ignores GPUPOOL_HOST, GPUPOOL_PORT, GPUPOOL_AGENT_HOST,
GPUPOOL_AGENT_PORT, GPUPOOL_PUBLIC_URL, GPUPOOL_ADMIN_KEY and DATABASE_URL.`

export function parseOptions(args: readonly string[]): Options {
  const [first, second, ...rest] = args
  if (first === undefined) return { type: 'run', once: null }
  if (first === '--help' || first === '-h') return { type: 'help' }
  const inline = first.startsWith('--once=') ? first.slice('--once='.length) : undefined
  const prompt = inline ?? (first === '--once' ? second : undefined)
  const surplus = inline === undefined ? rest : args.slice(1)
  if (inline === undefined && first !== '--once')
    return { type: 'wrong', message: `unknown argument ${first}; npm start -- --help shows all` }
  if (prompt === undefined || prompt.trim() === '')
    return { type: 'wrong', message: '--once needs a prompt: npm start -- --once "Hello"' }
  if (surplus.length > 0)
    return {
      type: 'wrong',
      message: 'more than one prompt; put it in quotes: --once "Hello there"',
    }
  return { type: 'run', once: prompt }
}
