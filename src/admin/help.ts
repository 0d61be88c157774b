import type { Command } from './command.ts'

const program = 'bun run admin'

const usageLine = ({ name, args, options }: Command): string =>
  [program, name, ...args, Object.keys(options).length > 0 ? '[options]' : '']
    .filter(Boolean)
    .join(' ')

/** The page for one command. */
export function commandHelp(command: Command): string {
  const options = Object.entries(command.options).map(([name, { value, what }]) => {
    const flag = value === undefined ? `--${name}` : `--${name} ${value}`
    return `  ${flag.padEnd(18)} ${what}\n`
  })
  return [
    `usage: ${usageLine(command)}\n\n${capital(command.summary)}.\n`,
    options.length > 0 ? `\noptions (default):\n${options.join('')}` : '',
    `\nexamples:\n${command.examples.map(example => `  ${program} ${example}\n`).join('')}`,
  ].join('')
}

/** The list of commands; with a first word only those that begin with it. */
export function overview(commands: readonly Command[]): string {
  const width = Math.max(...commands.map(command => shortUsage(command).length))
  const lines = commands.map(
    command => `  ${shortUsage(command).padEnd(width)}  ${command.summary}\n`,
  )
  return `usage: ${program} COMMAND [options]

Administers a gpupool server.

${lines.join('')}
--help after a command shows its options and examples.

Server and key come from GPUPOOL_URL and GPUPOOL_ADMIN_KEY, or else from the
server's data directory (GPUPOOL_DATA_DIR, ./.gpupool).
`
}

/** Arguments with alternatives are long; the command's own page has them in full. */
const shortUsage = ({ name, args }: Command): string =>
  [name, ...args.map(arg => (arg.includes('|') ? 'SOURCE' : arg))].join(' ')

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)
